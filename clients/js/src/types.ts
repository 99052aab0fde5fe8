/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The public types of the client. This file has no code: what is here costs no byte in a bundle.
 */
import type { FantailError } from './errors.ts';

/** Event names and the types of their data. An event without a name is `message`. */
export type EventMap = object;

/** The events of a client that declares none: unnamed events, as text. */
export interface DefaultEvents {
  message: string;
}

/** A declared map, and `message` as text if the map does not have it. */
export type Events<E extends EventMap> = 'message' extends keyof E ? E : E & DefaultEvents;

/** The part of [Standard Schema](https://standardschema.dev) that the client uses: zod, valibot, arktype. */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly input: unknown; readonly output: T } | undefined;
  };
}

/**
 * How the text of an event becomes its data: a function, or a schema. The text is parsed as JSON
 * before a schema sees it. A schema must answer at once, because events stay in order.
 */
export type Decoder<T> = ((text: string) => T) | StandardSchema<T>;

/** Why the client asks for a token. */
export type TokenReason = 'first' | 'expiring' | 'refused';

/** The place at which a stream begins: only new events, all that are kept, or after an event's id. */
export type From = 'now' | 'earliest' | (string & {});

export interface RetryOptions {
  /** Milliseconds; the upper end of the first random wait. 1 to 3,600,000, default 1,000. */
  base?: number;
  /** Milliseconds; no random wait is longer. `base` to 86,400,000, default 30,000. */
  max?: number;
  /** Failures in a row after which the client gives up. 1 or more, default `Infinity`. */
  attempts?: number;
}

export interface ClientOptions<E extends EventMap = DefaultEvents> {
  /**
   * The server. An address that ends with `/` is a node: `https://hub.example/`. One that ends with
   * `/.well-known/mercure` is a Mercure hub. Any other is the whole address of one stream of any SSE
   * server. In a browser it may be relative to the page; a server that renders pages may make such a
   * client, but not use it.
   */
  url: string | URL;
  /** What the server is, if `url` does not show it. */
  server?: 'fantail' | 'mercure' | 'plain';
  /**
   * A token, or a function that fetches one. `null` is a client without a token. The function is
   * called once at a time: at the first connect, before the token's `exp`, and after a 401. It must
   * answer within 30 s. A token is text of visible ASCII characters. The same token again replaces no
   * stream; it is asked for every 5 s then.
   */
  token?: string | ((why: TokenReason, signal: AbortSignal) => Promise<string | null> | string | null);
  /** A decoder for each event name. Events of other names are text. */
  events?: { [K in keyof E]?: Decoder<E[K]> };
  /** First cursor of the client's streams; afterwards their own cursors count. Default `now`. */
  from?: From;
  /** Waits between attempts, with full jitter. What the server asks for is the least wait. */
  retry?: RetryOptions;
  /**
   * Milliseconds of silence after which a stream counts as dead. 1,000 to 86,400,000. Default: three
   * times the heartbeat that the node announces (45,000 before it does); no limit for a server that
   * announces none, which need not send any.
   */
  idle?: number;
  /** Milliseconds for which a stream without subscriptions is kept. 0 to 3,600,000, default 1,000. */
  linger?: number;
  /** Whether the stream of a hidden page is kept or paused. Nothing is lost by a pause. Default `keep`. */
  hidden?: 'keep' | 'pause';
  /**
   * Name of the streams and the token that all tabs of this origin share: one of them connects, and the
   * others get what it reads. It has to contain who the user is, because every tab with the same name
   * gets the same. 1 to 200 characters, default `false`.
   *
   * It needs Web Locks, which only secure contexts have (https, localhost). Without them each tab has its
   * own stream, and the log says so once.
   *
   * @example
   * ```ts
   * const client = createClient({ url: 'https://hub.example/', share: `user ${user.id}` });
   * client.onStatus((status) => status.state === 'open' && console.log(status.role)); // leader, follower
   * ```
   */
  share?: string | false;
  /**
   * Shares by a worker instead of a tab: `new SharedWorker(…)` of a file of the application that imports
   * `@fantail/client/worker`. Needs `share`; `headers` must be no function, and `fetch` is the worker's.
   * If the worker does not start, or says nothing for 6 s, each tab has its own stream.
   *
   * @example
   * ```ts
   * worker: () => new SharedWorker(new URL('./hub-worker.js', import.meta.url), { type: 'module' }),
   * ```
   */
  worker?: () => SharedWorker;
  /** Most topics of one stream; more are spread over several. 1 to 1,000, default 100. */
  topicsPerStream?: number;
  /** As in `fetch`. Default `same-origin`. The native transport sends cookies with `include` only. */
  credentials?: RequestCredentials;
  /** Headers of every request; a function is called for each. Not for the native transport. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  /** Another `fetch`. */
  fetch?: typeof fetch;
  /** `eventsource`: the browser's own EventSource, without headers and statuses. Default `fetch`. */
  transport?: 'fetch' | 'eventsource';
  /** Hears every event, gap, token and reconnect. Tokens are not in it. */
  log?: (line: LogLine) => void;
}

/** An event, as a handler gets it. */
export interface Event<E extends EventMap = DefaultEvents, K extends keyof E = keyof E> {
  /** The event's name; `message` if it has none. */
  readonly name: K;
  readonly data: E[K];
  /** The event's id, or the last id of the stream if the event has none. May be empty. */
  readonly id: string;
  /** The topic that the subscription matched; empty if the server does not tell. */
  readonly topic: string;
  /** Milliseconds since 1970: of the id if the node made it, else of the arrival. */
  readonly at: number;
}

/** Each event of a map, so that a test of `name` narrows `data`. */
export type AnyEvent<E extends EventMap> = { [K in keyof E]: Event<E, K> }[keyof E];

/** Events that this client did not get, or may not have got. Load the state again. */
export interface Gap {
  /** The last id before the gap; empty if there is none. */
  readonly from: string;
  /** No missing event has a later id; empty if it is unknown. */
  readonly to: string;
  /**
   * `evicted`: the server no longer has them. `unknown`: the server does not know the cursor, or has
   * none. `lagged`: the stream, a queue in this page, or the node was too slow. `log`: the log that
   * nodes share has lost events. `upstream`: the source of the events cannot prove that it missed none.
   */
  readonly reason: 'evicted' | 'unknown' | 'lagged' | 'log' | 'upstream';
}

/** A gap among the events of an iterator. */
export interface GapEvent {
  readonly name: 'gap';
  readonly data: Gap;
  readonly id: string;
  readonly topic: '';
  readonly at: number;
}

/**
 * A function for each event name, `gap` and `error`; each is called as a method of the object. The
 * object is read at each event, so its functions may be replaced. An event that is called `error`
 * reaches `events()` only. The native transport hears the object's own properties and the names in
 * `events`, not the methods of a class.
 */
export type Handlers<E extends EventMap = DefaultEvents> = {
  [K in keyof E as Exclude<K, 'gap' | 'error'>]?: (data: E[K], event: Event<E, K>) => void;
} & {
  /** Some events are missing. The stream goes on. */
  gap?: (gap: Gap) => void;
  /** The data of one event could not be decoded, or the stream is closed for good. */
  error?: (error: FantailError) => void;
};

export interface SubscribeOptions {
  /** The place at which this subscription begins. It gets a stream of its own. */
  from?: From;
  /** Closes the subscription. */
  signal?: AbortSignal;
}

export interface IterateOptions extends SubscribeOptions {
  /** Events that wait for the reader; more are a gap, `lagged`. 1 to 1,000,000, default 1,000. */
  queue?: number;
}

export interface Subscription {
  readonly status: Status;
  /** Topics are added to the stream in use, from its cursor on. */
  add(topic: string): void;
  remove(topic: string): void;
  close(): void;
  [Symbol.dispose](): void;
}

/** Why the client waits, if nothing failed. */
export type WaitReason = 'drain' | 'shed' | 'offline' | 'hidden';

export type Status =
  /** Nobody subscribes. */
  | { readonly state: 'idle' }
  /** `attempt` is 1 at first, and rises with each failure in a row. */
  | { readonly state: 'connecting'; readonly attempt: number }
  /** The server's first word has come, at `since` (milliseconds since 1970). */
  | { readonly state: 'open'; readonly since: number; readonly role: 'own' | 'leader' | 'follower' }
  /** The next attempt is at `at`; `Infinity` if it waits for the page or the network. */
  | {
      readonly state: 'waiting';
      readonly attempt: number;
      readonly at: number;
      readonly why: FantailError | WaitReason;
    }
  /** For good: after `close()`, or because another attempt would not help. */
  | { readonly state: 'closed'; readonly why: FantailError | 'closed' };

/** The answer to a publication. */
export interface Receipt {
  /** The event's id at the node. */
  readonly id: string;
  /** Streams that subscribed to its topics at that moment; `undefined` from a Mercure hub. */
  readonly subscribers: number | undefined;
}

export interface PublishOptions {
  /** The event's name. */
  event?: string;
  /** The publisher's own id. */
  id?: string;
  private?: boolean;
  /**
   * An idempotency key: called again with the same one and the same event, `publish` answers with the first receipt
   * and nothing is published twice. Up to 255 printable ASCII characters.
   */
  key?: string;
  signal?: AbortSignal;
}

export interface LiveOptions<S, E extends EventMap = DefaultEvents> {
  topics: string | readonly string[];
  /**
   * Loads the state: after the stream is open, and again after every gap. Events that come meanwhile
   * wait, and are applied afterwards. If the answer has the `cursor` of the state, events up to it are
   * dropped. If it fails it is tried again, as `retry` says.
   */
  load: (signal: AbortSignal) => Promise<S | LoadedState<S>>;
  /** The state after an event. It must return another object when something changed. */
  apply: (state: S, event: AnyEvent<E>) => S;
  /** Events that wait for `load`; more start it again. 1 to 1,000,000, default 10,000. */
  queue?: number;
}

/** A state, and the id of the last event that is in it. */
export interface LoadedState<S> {
  state: S;
  cursor: string;
}

/** What a live store shows. The same object until something changes. */
export interface Live<S> {
  readonly state: S | undefined;
  readonly loading: boolean;
  /** The state may be old: it is being loaded, or the stream is not open. */
  readonly stale: boolean;
  /** What `load` or `apply` threw last; absent once a load succeeds. */
  readonly error?: unknown;
  readonly status: Status;
}

/** Fits `useSyncExternalStore`. Nothing is loaded before the first `subscribe`. */
export interface LiveStore<S> {
  getSnapshot(): Live<S>;
  /** Calls `listener` after changes, once for all events that arrive together. */
  subscribe(listener: () => void): () => void;
  reload(): void;
  close(): void;
}

export interface Client<M extends EventMap = DefaultEvents> {
  subscribe(
    topics: string | readonly string[],
    handlers: Handlers<M>,
    options?: SubscribeOptions,
  ): Subscription;
  /** Subscribes while it is iterated. Ends with `close()` or its signal; throws if the stream is refused. */
  events(
    topics: string | readonly string[],
    options?: IterateOptions,
  ): AsyncIterable<AnyEvent<M> | GapEvent>;
  live<S>(options: LiveOptions<S, M>): LiveStore<S>;
  /** Publishes one event. Throws a `FantailError` if it is refused. */
  publish(topic: string | readonly string[], data: unknown, options?: PublishOptions): Promise<Receipt>;
  /** Of all streams of the client, the state that needs most attention. The same object until it changes. */
  readonly status: Status;
  /** Id of the last event or heartbeat of the joined stream. */
  readonly cursor: string | undefined;
  /** Calls `listener` at each change of `status`. Returns what ends that. */
  onStatus(listener: (status: Status) => void): () => void;
  /**
   * After log-in and log-out: ends every stream at once, asks for a token, and goes on from the
   * cursor. Also opens streams again that were refused. Rejects if the token function does. Of several
   * calls the last counts for all.
   */
  refreshToken(): Promise<void>;
  /** Ends all subscriptions, requests and timers for good. */
  close(): void;
  [Symbol.dispose](): void;
}

/** One line of the log. */
export interface LogLine {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Number of the stream within the client, from 1; 0 for the client itself. */
  readonly stream: number;
  readonly kind:
    | 'connect'
    | 'open'
    | 'event'
    | 'id'
    | 'gap'
    | 'replace'
    | 'end'
    | 'wait'
    | 'idle'
    | 'closed'
    | 'token'
    | 'share'
    | 'error';
  /** What it is about: an address without its token, an id, a name, milliseconds, an error. */
  readonly detail: unknown;
}
