'use client';
/**
 * `@fantail/client/react`: the client in components. Nothing is opened while rendering, so nothing is
 * opened on a server; a component that is mounted anew at once keeps the stream (`linger`).
 */
import {
  createContext,
  createElement,
  useContext,
  useEffect,
  useInsertionEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
  type ReactElement,
  type ReactNode,
} from 'react';
import type { Client, EventMap, Handlers, Live, LiveOptions, Status } from '../types.ts';
import { createFollower } from '../views/follow.ts';
import { createStore, NO_STORE, NOTHING, storeKey } from '../views/live.ts';
import type { AnyClient, AnyEvents, AnyHandlers, AnyLiveOptions, DataOf, RegisteredEvents } from '../views/types.ts';

/**
 * Tells the hooks the events of the application's client:
 *
 * ```ts
 * declare module '@fantail/client/react' {
 *   interface Register { client: typeof client }
 * }
 * ```
 */
export interface Register {}

/** The registered event map. Without one, events are text and called `message`. */
export type Registered = RegisteredEvents<Register>;

export interface FantailProviderProps<M extends EventMap> {
  /** Made outside of the component, or kept by `useState`: each new client is a new connection. */
  client: Client<M>;
  children?: ReactNode;
}

export interface UseEventsOptions {
  /** `false` subscribes to nothing. Default `true`. */
  enabled?: boolean | undefined;
}

export interface UseLatestOptions<K, I> {
  /** The event's name. Default `message`. */
  event?: K | undefined;
  /** The value until the first event. Default `undefined`. */
  initial?: I | undefined;
}

/** What `useLive` returns: the same object until something changes. */
export interface LiveView<S> extends Live<S> {
  /** Loads the state again. */
  readonly reload: () => void;
}

const Context = createContext<AnyClient | undefined>(undefined);

/** Gives a client to all components within. It neither opens nor closes it. */
export function FantailProvider<M extends EventMap>({ client, children }: FantailProviderProps<M>): ReactElement {
  return createElement(Context.Provider, { value: client as unknown as AnyClient }, children);
}

/**
 * The client of the nearest `FantailProvider`.
 *
 * @throws Error without a provider.
 */
export function useClient<M extends EventMap = Registered>(): Client<M> {
  const client = useContext(Context);
  if (client) return client as unknown as Client<M>;
  throw new Error('no client: put <FantailProvider client={client}> around it');
}

/**
 * Subscribes while the component is mounted. Handlers and topics may be new objects at each render:
 * the handlers of the last render are called, and topics that are the same are the same subscription.
 * Topics that come or go change the stream in use, from its cursor on.
 */
export function useEvents<M extends EventMap = Registered>(
  topics: string | readonly string[],
  handlers: Handlers<M>,
  { enabled = true }: UseEventsOptions = {},
): void {
  const client = useClient<AnyEvents>();
  const follow = useMemo(() => createFollower(client), [client]);
  // Topics and handlers change at one moment: no handler gets an event of another render's topic.
  useEffect(() => follow(enabled ? topics : undefined, handlers as AnyHandlers));
  useEffect(() => () => follow(undefined, {}), [follow]);
}

/**
 * A state that is loaded once and kept by events; see `Client.live`. The functions of the last render
 * are called. Other `topics` (or another `queue`) are another state, which begins without one.
 *
 * @param options `null` loads nothing.
 */
export function useLive<S, M extends EventMap = Registered>(options: LiveOptions<S, M> | null): LiveView<S> {
  const client = useClient<AnyEvents>();
  const given = options as AnyLiveOptions<S> | null;
  const last = useRef(given);
  useInsertionEffect(() => void (last.current = given));
  const store = useMemo(() => createStore(client, given, () => last.current), [client, storeKey(given)]);
  const live = useSyncExternalStore<Live<S>>(store.subscribe, store.getSnapshot, NO_STORE.getSnapshot);
  return useMemo(() => ({ ...live, reload: store.reload }), [live, store]);
}

/**
 * The data of the last event of one name in one topic. What was published before, or while the stream
 * was away for longer than the server keeps events, is not in it: that is for `useLive`.
 */
export function useLatest<
  M extends EventMap = Registered,
  const K extends keyof M = keyof M & 'message',
  I = undefined,
>(topic: string, { event, initial }: UseLatestOptions<K, I> = {}): DataOf<M, K> | I {
  const name = (event ?? 'message') as string;
  const key = `${name}\n${topic}`;
  // Another client may be another user's.
  const client = useClient<AnyEvents>();
  const [latest, setLatest] = useState<[key: string, client: AnyClient, data: DataOf<M, K>]>();
  useEvents<Record<string, DataOf<M, K>>>(topic, { [name]: (data) => setLatest([key, client, data]) });
  return latest?.[0] === key && latest[1] === client ? latest[2] : (initial as I);
}

/** The state of the client's streams that needs most attention. */
export function useStatus(): Status {
  const client = useClient<AnyEvents>();
  return useSyncExternalStore(client.onStatus, () => client.status, () => NOTHING.status);
}
