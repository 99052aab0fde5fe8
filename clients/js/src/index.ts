/**
 * `@fantail/client`: Server-Sent Events that survive cuts, gaps and expired tokens.
 */
export { createClient, type Inspection } from './client.ts';
export { debug } from './debug.ts';
export { json, text } from './decode.ts';
export { FantailError, type ErrorCode, type ErrorDetails, type Problem } from './errors.ts';
export type { StreamInfo } from './connection.ts';
export type {
  AnyEvent,
  Client,
  ClientOptions,
  Decoder,
  DefaultEvents,
  Event,
  EventMap,
  Events,
  From,
  Gap,
  GapEvent,
  Handlers,
  IterateOptions,
  Live,
  LiveOptions,
  LiveStore,
  LoadedState,
  LogLine,
  PublishOptions,
  Receipt,
  RetryOptions,
  StandardSchema,
  Status,
  SubscribeOptions,
  Subscription,
  TokenReason,
  WaitReason,
} from './types.ts';
