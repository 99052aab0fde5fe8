/**
 * A live store whose `load` and `apply` may be other functions each time that a view is drawn.
 */
import type { Live, LiveStore } from '../types.ts';
import { listOf } from './topics.ts';
import type { AnyClient, AnyLiveOptions } from './types.ts';

/** What is shown without a store: before a view is mounted, on a server, and for options of `null`. */
export const NOTHING: Live<never> = {
  state: undefined,
  loading: false,
  stale: true,
  status: { state: 'idle' },
};

/** In place of a store. */
export const NO_STORE: LiveStore<never> = {
  getSnapshot: () => NOTHING,
  subscribe: () => () => {},
  reload() {},
  close() {},
};

/** The same text for what may be one store. */
export function storeKey<S>(options: AnyLiveOptions<S> | null): string | null {
  return options && JSON.stringify([options.queue, ...listOf(options.topics).sort()]);
}

/**
 * Opens nothing before the store has a listener.
 *
 * @param first Their `topics` and `queue` count for the life of the store.
 * @param current Whose functions are called; `null` leaves those of `first`.
 */
export function createStore<S>(
  client: AnyClient,
  first: AnyLiveOptions<S> | null,
  current: () => AnyLiveOptions<S> | null,
): LiveStore<S> {
  if (!first) return NO_STORE;
  return client.live<S>({
    ...first,
    load: (signal) => (current() ?? first).load(signal),
    apply: (state, event) => (current() ?? first).apply(state, event),
  });
}
