/**
 * A state that is loaded once and kept by events: loaded after the stream is open, so that no event
 * falls between, and again after every gap.
 */
import { backoff } from './backoff.ts';
import { IDLE } from './connection.ts';
import { report } from './errors.ts';
import { isWithin } from './ids.ts';
import { checkNumber, checkTopics, type Config } from './options.ts';
import { CLOSED, type PlainEvent, type Subscriptions } from './subscriptions.ts';
import type { Live, LiveOptions, LiveStore, LoadedState, Status, Subscription } from './types.ts';

/** `LiveOptions` of any event map. */
type Options<S> = Omit<LiveOptions<S, never>, 'apply'> & { apply: (state: S, event: PlainEvent) => S };

/** The events after a cursor. An id that cannot be compared counts by its place in the queue. */
function after(queue: readonly PlainEvent[], cursor: string): PlainEvent[] {
  const index = queue.map(({ id }) => id).lastIndexOf(cursor);
  return queue.slice(index + 1).filter(({ id }) => !isWithin(id, cursor));
}

export function createLive<S>(subscriptions: Subscriptions, config: Config, options: Options<S>): LiveStore<S> {
  const { load, apply } = options;
  const topics = checkTopics(options.topics);
  const queueMax = checkNumber('queue', options.queue, 1, 1_000_000, 10_000);
  const listeners = new Set<() => void>();
  let snapshot: Live<S> = { state: undefined, loading: false, stale: true, status: IDLE };
  let subscription: Subscription | undefined;
  let queue: PlainEvent[] = [];
  /** Cursor of the state that was loaded: events up to it are in it. */
  let cursor = '';
  let loading: AbortController | undefined;
  /** A load has succeeded since the last gap. */
  let loaded = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let linger: ReturnType<typeof setTimeout> | undefined;
  let told = true;
  let over = false;

  function set(change: Partial<Live<S>>, withoutError = false): void {
    const { error, ...rest } = { ...snapshot, ...change };
    const stale = !loaded || rest.status.state !== 'open';
    const keepsError = !withoutError && error !== undefined;
    snapshot = { ...rest, loading: loading !== undefined, stale, ...(keepsError && { error }) };
    if (!told) return;
    told = false;
    // Once for all events that arrive together.
    queueMicrotask(() => {
      told = true;
      for (const listener of [...listeners]) {
        try {
          listener();
        } catch (thrown) {
          report(thrown);
        }
      }
    });
  }

  function applyEvent(state: S, event: PlainEvent): S {
    try {
      return apply(state, event);
    } catch (error) {
      report(error);
      set({ error });
      return state;
    }
  }

  function cancel(): void {
    clearTimeout(timer);
    timer = undefined;
    loading?.abort();
    loading = undefined;
    queue = [];
    loaded = false;
  }

  function start(): void {
    cancel();
    const own = new AbortController();
    loading = own;
    set({});
    new Promise<S | LoadedState<S>>((resolve) => resolve(load(own.signal))).then(
      (answer) => {
        if (loading !== own) return;
        loading = undefined;
        loaded = true;
        failures = 0;
        const withCursor = isLoadedState<S>(answer);
        cursor = withCursor ? answer.cursor : '';
        const waiting = cursor ? after(queue, cursor) : queue;
        queue = [];
        set({ state: withCursor ? answer.state : answer }, true);
        for (const event of waiting) set({ state: applyEvent(snapshot.state as S, event) });
      },
      (error: unknown) => {
        if (loading !== own) return;
        cancel();
        set({ error });
        timer = setTimeout(start, backoff(config, ++failures));
      },
    );
  }

  function hear(event: PlainEvent): void {
    if (loading) {
      queue.push(event);
      // What was dropped may be missing in the state that is being loaded.
      if (queue.length > queueMax) start();
    } else if (loaded && !(cursor && isWithin(event.id, cursor))) {
      set({ state: applyEvent(snapshot.state as S, event) });
    }
  }

  function onStatus(status: Status): void {
    set({ status });
    if (status.state === 'open' && !loaded && !loading && timer === undefined) start();
  }

  function open(): void {
    failures = 0;
    subscription = subscriptions.add(topics, {
      event: hear,
      gap: start,
      error(error) {
        set({ error });
        return true;
      },
      status: onStatus,
    });
    onStatus(subscription.status);
  }

  function close(): void {
    cancel();
    clearTimeout(linger);
    subscription?.close();
    subscription = undefined;
    set({ status: over ? CLOSED : IDLE });
  }

  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      clearTimeout(linger);
      listeners.add(listener);
      if (!subscription && !over) open();
      return () => {
        if (!listeners.delete(listener) || listeners.size) return;
        // A view that is drawn anew subscribes again at once.
        linger = setTimeout(close, config.linger);
      };
    },
    reload() {
      if (subscription) start();
    },
    close() {
      over = true;
      close();
    },
  };
}

function isLoadedState<S>(answer: S | LoadedState<S>): answer is LoadedState<S> {
  const keys = answer && typeof answer === 'object' ? Object.keys(answer).sort() : [];
  return keys.join() === 'cursor,state' && typeof (answer as LoadedState<S>).cursor === 'string';
}
