/**
 * Puts a client together. Nothing is opened, and nothing is listened to, before the first subscription.
 */
import type { Runtime, StreamInfo } from './connection.ts';
import { tell } from './errors.ts';
import { iterate } from './iterate.ts';
import { createLive } from './live.ts';
import { checkOptions } from './options.ts';
import { connectOwn } from './own.ts';
import { createPage } from './page.ts';
import { publish } from './publish.ts';
import { shareLazily } from './share/load.ts';
import { createSubscriptions, DISPOSE, same } from './subscriptions.ts';
import { createTokens } from './token.ts';
import type {
  Client,
  ClientOptions,
  DefaultEvents,
  EventMap,
  Events,
  Handlers,
  LogLine,
  Status,
} from './types.ts';

/** What `debug` shows of a client. */
export interface Inspection {
  readonly url: string;
  readonly server: string;
  readonly status: Status;
  readonly streams: readonly StreamInfo[];
  readonly subscriptions: readonly { readonly topics: readonly string[]; readonly status: Status }[];
}

/**
 * Where `debug` finds what it shows.
 *
 * @internal
 */
export const INSPECT = Symbol('fantail.inspect');

/** @internal */
export interface Inspectable {
  [INSPECT](log?: (line: LogLine) => void): { inspection: Inspection; stop(): void };
}

/**
 * Makes a client of a node, a Mercure hub or any SSE server. It connects with the first subscription.
 *
 * @throws TypeError if an option is unknown or out of its limits.
 */
export function createClient<E extends EventMap = DefaultEvents>(options: ClientOptions<E>): Client<Events<E>> {
  const config = checkOptions(options as ClientOptions<Record<string, unknown>>);
  const statusListeners = new Set<(status: Status) => void>();
  const logs = new Set<(line: LogLine) => void>(config.log ? [config.log] : []);
  const names = new Set(['message', 'gap', 'heartbeat', ...Object.keys(config.events)]);
  const closing = new AbortController();
  let last: Status = { state: 'idle' };
  let streams = 0;
  /** The token of the last `refreshToken`. */
  let refreshing: Promise<unknown> | undefined;

  const { token } = config;
  const sharing = config.share
    ? shareLazily(() => runtime, async (why, signal) => (typeof token === 'function' ? token(why, signal) : null))
    : undefined;
  if (sharing && typeof token === 'function') config.token = sharing.token;

  const runtime: Runtime = {
    config,
    page: createPage(),
    names,
    nameListeners: new Set(),
    tokens: createTokens(config, (detail) => runtime.log(0, 'token', detail)),
    nextStream: () => ++streams,
    log(stream, kind, detail) {
      if (logs.size) tell(logs, { at: Date.now(), stream, kind, detail });
    },
  };

  const subscriptions = createSubscriptions(runtime, sharing?.connect ?? connectOwn, () => {
    const status = subscriptions.status();
    if (same(last, status)) return;
    last = status;
    // A listener that changes it has told all of them.
    tell(statusListeners, status, () => last === status);
  });

  /** An EventSource hears the names only that it is told. */
  function addNames(more: string[]): void {
    const before = names.size;
    for (const name of more) names.add(name);
    if (names.size > before) tell(runtime.nameListeners, undefined);
  }

  function close(): void {
    closing.abort(new Error('the client was closed'));
    refreshing = undefined;
    subscriptions.close();
    runtime.tokens.reset();
    sharing?.close();
  }

  const client = {
    subscribe(topics: string | readonly string[], handlers: Handlers<Record<string, unknown>>, settings = {}) {
      addNames(Object.keys(handlers));
      return subscriptions.add(
        topics,
        {
          event(event) {
            const { name, data } = event;
            if (name === 'gap' || name === 'error') return;
            // Methods of a class are handlers, those that each object has are none.
            if (!(name in Object.prototype) || Object.hasOwn(handlers, name)) handlers[name]?.(data, event);
          },
          gap: (gap) => handlers.gap?.(gap),
          error(error) {
            handlers.error?.(error);
            return handlers.error !== undefined;
          },
        },
        settings,
      );
    },
    events: (topics: string | readonly string[], settings = {}) => iterate(subscriptions, topics, settings),
    live: (settings: Parameters<typeof createLive>[2]) => createLive(subscriptions, config, settings),
    publish: (topic: string | readonly string[], data: unknown, settings = {}) =>
      publish(runtime, topic, data, settings, closing.signal),
    get status() {
      // The same object until something changes, as `useSyncExternalStore` needs it.
      return last;
    },
    get cursor() {
      return subscriptions.cursor();
    },
    onStatus(listener: (status: Status) => void) {
      // The same function may be there twice, and each ends by itself.
      const own = (status: Status): void => listener(status);
      statusListeners.add(own);
      return () => void statusListeners.delete(own);
    },
    async refreshToken() {
      if (closing.signal.aborted) return;
      runtime.tokens.reset();
      sharing?.reset();
      refreshing = runtime.tokens.get();
      // Its failure is thrown below, whether streams see it or not.
      refreshing.catch(() => {});
      subscriptions.restart();
      for (;;) {
        const own: Promise<unknown> | undefined = refreshing;
        try {
          return void (await own);
        } catch (error) {
          // Another call, or `close`, ended this one: the last one counts for all.
          if (own === refreshing) throw error;
        }
      }
    },
    close,
    [DISPOSE]: close,
    [INSPECT](log?: (line: LogLine) => void) {
      if (log) logs.add(log);
      const { url, server } = config;
      return {
        inspection: { url: url.href, server, status: client.status, ...subscriptions.inspect() },
        stop: () => void (log && logs.delete(log)),
      };
    },
  };
  return client as unknown as Client<Events<E>>;
}
