/**
 * A state that is loaded once and kept by events: loaded after the stream is open, so that no event
 * falls between, and again after every gap.
 */
import { backoff } from './backoff.ts';
import { IDLE } from './connection.ts';
import { report, tell } from './errors.ts';
import { isWithin } from './ids.ts';
import { checkNumber, checkTopics, type Config } from './options.ts';
import { CLOSED, type Listener, type PlainEvent, type Subscriptions } from './subscriptions.ts';
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
  let state: S | undefined;
  let status: Status = IDLE;
  /** What `load` or `apply` threw last. */
  let failed: { error?: unknown } = {};
  let snapshot: Live<S> = { state, loading: false, stale: true, status };
  let subscription: Subscription | undefined;
  let queue: PlainEvent[] = [];
  /** Cursor of the state that was loaded: events up to it are in it. */
  let cursor = '';
  let loading: AbortController | undefined;
  /** A load has succeeded since the last gap. */
  let loaded = false;
  /** The load began before the stream was open: what came between is in neither. */
  let early = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let linger: ReturnType<typeof setTimeout> | undefined;
  let told = true;
  let over = false;

  /** Another snapshot. */
  function show(): void {
    snapshot = { state, loading: !!loading, stale: !loaded || status.state !== 'open', status, ...failed };
    if (!told) return;
    told = false;
    // Once for all events that arrive together.
    queueMicrotask(() => {
      told = true;
      tell(listeners, undefined);
    });
  }

  function applyEvent(event: PlainEvent): void {
    try {
      state = apply(state as S, event);
    } catch (error) {
      report(error);
      failed = { error };
    }
    show();
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
    early = status.state !== 'open';
    show();
    (async () => load(own.signal))().then(
      (answer) => {
        if (loading !== own) return;
        loading = undefined;
        loaded = true;
        failures = 0;
        const withCursor = isLoadedState<S>(answer);
        cursor = withCursor ? answer.cursor : '';
        const waiting = cursor ? after(queue, cursor) : queue;
        queue = [];
        state = withCursor ? answer.state : answer;
        failed = {};
        show();
        waiting.forEach(applyEvent);
      },
      (error: unknown) => {
        if (loading !== own) return;
        cancel();
        failed = { error };
        show();
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
      applyEvent(event);
    }
  }

  function onStatus(changed: Status): void {
    status = changed;
    // The client is closed: nothing will keep what is loaded.
    if (status === CLOSED) cancel();
    show();
    if (status.state === 'open' && (early || (!loaded && !loading && timer === undefined))) start();
  }

  const hearing: Listener = {
    event: hear,
    gap: start,
    error(error) {
      failed = { error };
      show();
      return true;
    },
    status: onStatus,
  };

  function open(): void {
    failures = 0;
    subscription = subscriptions.add(topics, hearing);
    onStatus(subscription.status);
  }

  function close(): void {
    cancel();
    clearTimeout(linger);
    subscription?.close();
    subscription = undefined;
    status = over ? CLOSED : IDLE;
    show();
  }

  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      clearTimeout(linger);
      hearing.since = undefined;
      const own = (): void => listener();
      listeners.add(own);
      if (!subscription && !over) open();
      return () => {
        if (!listeners.delete(own) || listeners.size) return;
        hearing.since = performance.now();
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
  const names = Object.keys(Object(answer)).sort().join();
  return names === 'cursor,state' && typeof (answer as LoadedState<S>).cursor === 'string';
}
