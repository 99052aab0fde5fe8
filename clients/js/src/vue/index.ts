/**
 * `@fantail/client/vue`: the client in components. Nothing is opened before a component is mounted, so
 * nothing is opened on a server; a component that is mounted anew at once keeps the stream (`linger`).
 * All of it ends with the scope, which is the component's or an `effectScope` within its `setup`.
 */
import {
  computed,
  getCurrentScope,
  inject,
  onMounted,
  onScopeDispose,
  shallowRef,
  toValue,
  watch,
  type ComputedRef,
  type EffectScope,
  type InjectionKey,
  type MaybeRef,
  type MaybeRefOrGetter,
  type Plugin,
  type ShallowRef,
} from 'vue';
import type { Client, EventMap, Handlers, Live, LiveOptions, LiveStore, Status } from '../types.ts';
import { createFollower } from '../views/follow.ts';
import { createStore, NO_STORE, NOTHING, storeKey } from '../views/live.ts';
import { listOf } from '../views/topics.ts';
import type { AnyClient, AnyEvents, AnyHandlers, AnyLiveOptions, DataOf, RegisteredEvents } from '../views/types.ts';

/**
 * Tells the composables the events of the application's client:
 *
 * ```ts
 * declare module '@fantail/client/vue' {
 *   interface Register { client: typeof client }
 * }
 * ```
 */
export interface Register {}

/** The registered event map. Without one, events are text and called `message`. */
export type Registered = RegisteredEvents<Register>;

export interface UseEventsOptions {
  /** `false` subscribes to nothing. Default `true`. */
  enabled?: MaybeRefOrGetter<boolean> | undefined;
}

export interface UseLatestOptions<K, I> {
  /** The event's name. Default `message`. */
  event?: MaybeRefOrGetter<K> | undefined;
  /** The value until the first event. Default `undefined`. */
  initial?: I | undefined;
}

/** What `useLive` returns. The state itself is not made reactive: `apply` returns another one. */
export type LiveRefs<S> = { readonly [K in keyof Live<S>]-?: ComputedRef<Live<S>[K]> } & {
  /** Loads the state again. */
  readonly reload: () => void;
};

const KEY: InjectionKey<AnyClient> = Symbol('fantail');

/** `app.use(fantail(client))` gives the client to all components. It neither opens nor closes it. */
export function fantail<M extends EventMap>(client: Client<M>): Plugin {
  return {
    install(app) {
      app.provide(KEY, client as unknown as AnyClient);
    },
  };
}

/**
 * The client of the application.
 *
 * @throws Error if the plugin is not installed.
 */
export function useClient<M extends EventMap = Registered>(): Client<M> {
  const client = inject(KEY, undefined);
  if (client) return client as unknown as Client<M>;
  throw new Error('no client: call app.use(fantail(client)) first');
}

/** Calls `start` at the mount; what it watches ends with the scope of the caller. */
function whenMounted(start: () => void): void {
  const scope = getCurrentScope() as EffectScope;
  onMounted(() => scope.run(start));
}

/** For `watch`. */
const AT_ONCE = { immediate: true } as const;

/**
 * Subscribes from the mount to the end of the scope. Topics that come or go change the stream in use,
 * from its cursor on.
 */
export function useEvents<M extends EventMap = Registered>(
  topics: MaybeRefOrGetter<string | readonly string[]>,
  handlers: MaybeRefOrGetter<Handlers<M>>,
  { enabled = true }: UseEventsOptions = {},
): void {
  const follow = createFollower(useClient<AnyEvents>());
  whenMounted(() => {
    watch(
      () => [toValue(enabled) ? listOf(toValue(topics)) : undefined, toValue(handlers) as AnyHandlers] as const,
      (wanted) => follow(...wanted),
      AT_ONCE,
    );
    onScopeDispose(() => follow(undefined, {}));
  });
}

/**
 * A state that is loaded once and kept by events; see `Client.live`. Other `topics` (or another
 * `queue`) are another state, which begins without one; other functions are called from then on.
 *
 * @param options `null` loads nothing.
 */
export function useLive<S, M extends EventMap = Registered>(options: () => LiveOptions<S, M> | null): LiveRefs<S>;
// Apart, because TypeScript infers no state from a union with a getter.
export function useLive<S, M extends EventMap = Registered>(options: MaybeRef<LiveOptions<S, M> | null>): LiveRefs<S>;
export function useLive<S>(options: MaybeRefOrGetter<unknown>): LiveRefs<S> {
  const client = useClient<AnyEvents>();
  const live = shallowRef<Live<S>>(NOTHING);
  const current = (): AnyLiveOptions<S> | null => toValue(options) as AnyLiveOptions<S> | null;
  let store: LiveStore<S> = NO_STORE;
  whenMounted(() =>
    watch(
      () => storeKey(current()),
      (_key, _before, onCleanup) => {
        const own = (store = createStore(client, current(), current));
        const show = () => void (live.value = own.getSnapshot());
        show();
        onCleanup(own.subscribe(show));
      },
      AT_ONCE,
    ),
  );
  const part = <K extends keyof Live<S>>(name: K): ComputedRef<Live<S>[K]> => computed(() => live.value[name]);
  return {
    state: part('state'),
    loading: part('loading'),
    stale: part('stale'),
    error: part('error'),
    status: part('status'),
    reload: () => store.reload(),
  };
}

/**
 * The data of the last event of one name in one topic. What was published before, or while the stream
 * was away for longer than the server keeps events, is not in it: that is for `useLive`.
 */
export function useLatest<
  M extends EventMap = Registered,
  const K extends keyof M = keyof M & 'message',
  I = undefined,
>(
  topic: MaybeRefOrGetter<string>,
  { event, initial }: UseLatestOptions<K, I> = {},
): Readonly<ShallowRef<DataOf<M, K> | I>> {
  const latest = shallowRef(initial) as ShallowRef<DataOf<M, K> | I>;
  // No value of another topic is shown.
  watch([() => toValue(topic), () => toValue(event)], () => void (latest.value = initial as I));
  useEvents<Record<string, DataOf<M, K>>>(topic, () => ({
    [(toValue(event) ?? 'message') as string]: (data: DataOf<M, K>) => void (latest.value = data),
  }));
  return latest;
}

/** The state of the client's streams that needs most attention. */
export function useStatus(): Readonly<ShallowRef<Status>> {
  const client = useClient<AnyEvents>();
  const status = shallowRef<Status>(NOTHING.status);
  whenMounted(() => {
    status.value = client.status;
    onScopeDispose(client.onStatus((value) => void (status.value = value)));
  });
  return status;
}
