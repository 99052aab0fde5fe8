/**
 * The seam between a client and where its blocks come from. The streams of this page are one
 * implementation (`own.ts`); streams that tabs share are another.
 */
import type { Config } from './options.ts';
import type { Page } from './page.ts';
import type { Block } from './parser.ts';
import type { Tokens } from './token.ts';
import type { LogLine, Status } from './types.ts';

/** What all connections of a client have in common. */
export interface Runtime {
  readonly config: Config;
  readonly tokens: Tokens;
  readonly page: Page;
  /** Names of the events that somebody wants. An EventSource hears no others. */
  readonly names: ReadonlySet<string>;
  /** What is called when `names` are more. */
  readonly nameListeners: Set<() => void>;
  /** Number of the next stream, for the log. */
  nextStream(): number;
  log(stream: number, kind: LogLine['kind'], detail: unknown): void;
}

export interface ConnectionSink {
  /**
   * Every block with an id or an event, in order: also primes, heartbeats and gaps. While one request
   * replaces another, the same event may come from both with different topics. `told` are the topics
   * with which it came before: subscriptions of those have had it.
   */
  block(block: Block, told: readonly string[]): void;
  /** Some `status` is another one. */
  changed(): void;
}

export interface Connection {
  /**
   * All topics that are wanted from now on; `undefined` ends the streams. An empty list is one stream
   * that names no topic. Calls in quick succession are one change. What is no longer wanted is kept for
   * `linger` milliseconds, by default those of the client.
   */
  want(topics: readonly string[] | undefined, linger?: number): void;
  /** The state of the streams that carry these topics, or of all. */
  status(topics?: readonly string[]): Status;
  /** Id from which the (first) stream goes on. */
  cursor(): string | undefined;
  /** Ends all requests at once and starts them anew: the session is another one. */
  restart(): void;
  close(): void;
  inspect(): StreamInfo[];
}

/** Makes a connection. A client has one for its joined subscriptions, and one for each that stands alone. */
export type Connect = (runtime: Runtime, sink: ConnectionSink, options: ConnectOptions) => Connection;

export interface ConnectOptions {
  /** First cursor; `undefined` for new events only. */
  from: string | undefined;
  /** Whether topics may be spread over several streams: blocks tell their topics. */
  spread: boolean;
  /** Name of the stream in all tabs that share it; `undefined` for one of this tab's own. */
  key: string | undefined;
}

/** One stream, for `debug`. */
export interface StreamInfo {
  readonly stream: number;
  readonly topics: readonly string[];
  readonly cursor: string | undefined;
  /** The last id of the form of a node's: `cursor` may be a publisher's own. */
  readonly nodeId: string | undefined;
  readonly status: Status;
  readonly blocks: number;
  /** Events that are remembered because a request that takes over may repeat them. */
  readonly remembered: number;
}

const ORDER = 'idle open connecting waiting closed';

/** Of several states, the one that needs most attention. */
export function worst(states: readonly Status[]): Status {
  return states.reduce<Status>(
    (worse, state) => (ORDER.indexOf(state.state) > ORDER.indexOf(worse.state) ? state : worse),
    IDLE,
  );
}

export const IDLE: Status = { state: 'idle' };
