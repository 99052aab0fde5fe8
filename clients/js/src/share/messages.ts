/**
 * What tabs say to each other. Each message is for all of them, and says all that is known: whoever
 * missed one is put right by the next. One tab, the leader, has the streams; the others follow.
 */
import type { Block } from '../parser.ts';
import type { Status, TokenReason } from '../types.ts';
import type { Place } from './places.ts';

/** Of the package. Other versions may say other things, so they do not share. A test compares it. */
export const VERSION = '0.1.0';

/** A block, and the topics with which it came before (`ConnectionSink.block`). */
export type Item = readonly [block: Block, told: readonly string[]];

/** For each stream, by its key, the topics that a tab wants of it. */
export type Wants = Record<string, readonly string[]>;

/** By the ids of tabs. `revision` rises when the tab wants something else. */
export type Members = Record<string, { readonly revision: number; readonly wants: Wants }>;

/** A stream, as the leader has it. */
export interface StreamState {
  readonly status: PackedStatus;
  /** Topics of the request that is open. */
  readonly open: readonly string[];
  /** Time at which it opened. */
  readonly since: number;
  /** All blocks up to here were sent before this message. Some of what is beyond may be sent again. */
  readonly place: Place;
  /** All blocks from beyond this one are sent after this message, if that is known. */
  readonly start: string | undefined;
  /** Blocks come from several requests. */
  readonly split: boolean;
}

export type Message =
  /** Every 2 s, and after each change. `first`: what members want is in the stream from its cursor on. */
  | {
      readonly kind: 'beat';
      readonly term: number;
      readonly first: boolean;
      readonly members: Members;
      readonly streams: Record<string, StreamState>;
    }
  | {
      readonly kind: 'blocks';
      readonly term: number;
      readonly key: string;
      readonly items: readonly Item[];
      readonly place: Place;
    }
  /** A tab wants something else, or is there. */
  | { readonly kind: 'hello'; readonly id: string; readonly revision: number; readonly wants: Wants }
  | { readonly kind: 'bye'; readonly id: string }
  /** Whoever leads, say so. */
  | { readonly kind: 'ping' }
  /** A tab needs a token; `refused` is the one that the server did not accept. */
  | { readonly kind: 'ask'; readonly id: string; readonly number: number; readonly refused: string | null | undefined }
  | Answer
  /** The session is another one. */
  | { readonly kind: 'reset' }
  /** A worker has no token function: this tab is to call its own. */
  | { readonly kind: 'call'; readonly id: string; readonly number: number; readonly why: TokenReason };

/** The token that was asked for, or why there is none. */
export interface Answer {
  readonly kind: 'token' | 'called';
  readonly id: string;
  readonly number: number;
  readonly token?: string | null | undefined;
  readonly error?: string;
}

/** A status whose error is plain data: an error that is sent loses what it is. */
export type PackedStatus = Exclude<Status, { why: unknown }> | { readonly state: 'waiting' | 'closed'; readonly why: unknown };
