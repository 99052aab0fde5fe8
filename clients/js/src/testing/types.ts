/**
 * The public types of the fake node.
 */
import type { Gap } from '../types.ts';

export interface FakeNodeOptions {
  /** Address of the node; it ends with `/`. Default `http://fantail.test/`. Nothing is sent there. */
  url?: string | undefined;
  /** Milliseconds between heartbeats that the node announces, 1 to 86,400,000. It sends none by itself. Default 15,000. */
  heartbeat?: number | undefined;
  /** The `retry:` of each prime, milliseconds. Default: none. */
  retry?: number | undefined;
  /** `manual` sends a stream's first word only when the test calls `prime()`. Default `auto`. */
  prime?: 'auto' | 'manual' | undefined;
}

/** A request that the client made. */
export interface FakeRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** Topics of a stream. */
  readonly topics: readonly string[];
  /** The cursor that was sent. */
  readonly cursor: string | undefined;
  /** The bearer token that was sent. */
  readonly token: string | undefined;
}

/** A stream that the client has open. */
export interface FakeStream {
  readonly request: FakeRequest;
  /** Neither side has ended it. */
  readonly open: boolean;
  /** The first word, and what is kept after the cursor. Once; needed with `prime: 'manual'` only. */
  prime(): void;
  /** Any text of an event stream. */
  send(text: string): void;
  /** Tells that events are missing. Default `evicted`. */
  gap(reason?: Gap['reason']): void;
  /** Ends it in good order, as a node that stops does. `retry` in milliseconds, default 0. */
  drain(retry?: number): void;
  /** Ends it with an error of the network. */
  cut(): void;
}

export interface FakePublishOptions {
  /** The event's name. */
  event?: string | undefined;
  /** The publisher's own id. Default: an id of the node, of the time of `Date.now()`. */
  id?: string | undefined;
}

export interface RefuseOptions {
  /** Requests that are refused. 1 or more, default 1; `Infinity` for all from now on. */
  times?: number | undefined;
  /** What the problem document says. */
  detail?: string | undefined;
  /** Seconds of `Retry-After`. */
  retryAfter?: number | undefined;
}

/** A node without a network. */
export interface FakeNode {
  /** For `createClient`. */
  readonly url: string;
  /** For `createClient`. Answers at this node's address only. */
  readonly fetch: typeof fetch;
  /** Every request since the start. */
  readonly requests: readonly FakeRequest[];
  /** The streams that are open, oldest first. */
  readonly streams: readonly FakeStream[];
  /** The next stream that opens; at once the newest, if one is open. */
  stream(): Promise<FakeStream>;
  /**
   * Publishes as another publisher would: to all streams that have a topic of the event, and to those
   * that come back with an earlier cursor. What is not a text is sent as JSON. Returns the event's id.
   */
  publish(topic: string | readonly string[], data: unknown, options?: FakePublishOptions): string;
  /** A heartbeat on each stream, with the newest id. */
  heartbeat(): void;
  /** A gap on each stream. */
  gap(reason?: Gap['reason']): void;
  /** The node no longer has what was published until now: an earlier cursor is answered with a gap. */
  forget(): void;
  /** Ends all streams in good order. */
  drain(retry?: number): void;
  /** Ends all streams with an error of the network. */
  cut(): void;
  /** Answers the next requests with an error, 400 to 599. */
  refuse(status: number, options?: RefuseOptions): void;
  /** Answers the next streams as a node without room: 200, `retry:` and the end. Default once, 0 ms. */
  shed(times?: number, retry?: number): void;
  /**
   * Resolves when the client has read all that was sent. Needs no timer, so it works with fake ones.
   *
   * @throws Error if a stream is not read to its end.
   */
  settled(): Promise<void>;
}
