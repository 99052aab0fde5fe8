/**
 * Several tabs in one process: each has its page, its locks and its channels, as the specifications of
 * Web Locks and of BroadcastChannel (WHATWG HTML, section 9.5) say. What runs because of a tab runs in
 * its context, so the client finds its own globals.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, vi } from 'vitest';

const context = new AsyncLocalStorage<Tab>();

interface Request {
  readonly name: string;
  readonly tab: Tab;
  readonly callback: () => unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  held: boolean;
  granted(): void;
}

/** One tab. Its client is made, and subscribes, within `run`. */
export class Tab extends EventTarget {
  visibilityState: 'visible' | 'hidden' = 'visible';
  alive = true;
  /** A page that does not run: it hears nothing, and says nothing. */
  frozen = false;
  waiting: (() => void)[] = [];
  unsaid: (() => void)[] = [];
  listeners = 0;
  readonly requests = new Set<AbortController>();

  run<T>(call: () => T): T {
    return context.run(this, call);
  }

  say(name: string): void {
    this.run(() => this.dispatchEvent(new Event(name)));
  }

  show(state: 'visible' | 'hidden'): void {
    this.visibilityState = state;
    this.say('visibilitychange');
  }

  /** As a browser ends it: no event fires, locks are let go, connections are cut. */
  kill(): void {
    this.alive = false;
    for (const channel of [...channels]) if (channel.tab === this) channels.delete(channel);
    for (const request of this.requests) request.abort();
    locks.release(this);
  }

  thaw(): void {
    this.frozen = false;
    for (const call of this.unsaid.splice(0)) call();
    for (const call of this.waiting.splice(0)) call();
  }

  /** Runs as a task of this tab. */
  task(call: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.waiting.push(() => this.run(call));
    else this.run(call);
  }

  /** Its requests end with it. */
  readonly fetch: typeof fetch = (input, init) => {
    const abort = new AbortController();
    this.requests.add(abort);
    init?.signal?.addEventListener('abort', () => abort.abort());
    if (!this.alive) abort.abort();
    return realFetch(input, { ...init, signal: abort.signal });
  };
}

const realFetch = fetch;

/** Web Locks: exclusive ones only, in the order of requests. */
class Locks {
  queue: Request[] = [];
  /** Most listeners that one signal has had. */
  mostListeners = 0;

  request = (
    name: string,
    options: { signal?: AbortSignal; steal?: boolean } | (() => unknown),
    callback?: () => unknown,
  ): Promise<unknown> => {
    const tab = context.getStore() as Tab;
    if (!tab.alive) return new Promise(() => {});
    const { signal, steal } = typeof options === 'function' ? ({} as { signal?: AbortSignal; steal?: boolean }) : options;
    if (signal && steal) return Promise.reject(new DOMException('steal with signal', 'NotSupportedError'));
    if (signal?.aborted) return Promise.reject(new DOMException('aborted', 'AbortError'));
    return new Promise((resolve, reject) => {
      const request: Request = {
        name,
        tab,
        callback: (typeof options === 'function' ? options : callback) as () => unknown,
        resolve: (value) => tab.task(() => resolve(value)),
        reject: (error) => tab.task(() => reject(error)),
        held: false,
        granted() {},
      };
      const aborted = (): void => {
        this.remove(request);
        request.reject(signal?.reason);
      };
      signal?.addEventListener('abort', aborted);
      // A lock that is held no longer hears its signal.
      request.granted = () => signal?.removeEventListener('abort', aborted);
      if (signal) this.mostListeners = Math.max(this.mostListeners, getEventListeners(signal, 'abort').length);
      if (steal) {
        for (const other of this.queue.filter((each) => each.held && each.name === name)) {
          other.reject(new DOMException('stolen', 'AbortError'));
        }
        // It goes to the thief, to nobody that waits.
        this.queue = [request, ...this.queue.filter((each) => !each.held || each.name !== name)];
      } else this.queue.push(request);
      this.grant();
    });
  };

  holder(name: RegExp): Tab | undefined {
    return this.queue.find((request) => request.held && name.test(request.name))?.tab;
  }

  release(tab: Tab): void {
    this.queue = this.queue.filter((request) => request.tab !== tab);
    this.grant();
  }

  private remove(request: Request): void {
    this.queue = this.queue.filter((each) => each !== request);
    this.grant();
  }

  private grant(): void {
    for (const request of [...this.queue]) {
      const first = this.queue.find(({ name }) => name === request.name);
      if (request.held || first !== request) continue;
      request.held = true;
      request.granted();
      setImmediate(() =>
        request.tab.task(() => {
          // It may have been stolen meanwhile.
          if (!this.queue.includes(request)) return;
          new Promise((resolve) => resolve(request.callback())).then(
            (value) => {
              if (!this.queue.includes(request)) return;
              this.remove(request);
              request.resolve(value);
            },
            (error: unknown) => {
              this.remove(request);
              request.reject(error);
            },
          );
        }),
      );
    }
  }
}

let locks = new Locks();

const channels = new Set<Channel>();

/** Every message, for tests that look at what is said. */
export const messages: { from: Tab; data: { kind: string; [name: string]: unknown } }[] = [];

class Channel {
  onmessage: ((event: { data: unknown }) => void) | undefined;
  readonly tab = context.getStore() as Tab;
  private closed = false;

  constructor(readonly name: string) {
    channels.add(this);
  }

  postMessage(data: unknown): void {
    if (this.closed) throw new DOMException('closed', 'InvalidStateError');
    // What it says meanwhile it would have said afterwards.
    if (this.tab.frozen) this.tab.unsaid.push(() => this.closed || this.postMessage(data));
    if (!this.tab.alive || this.tab.frozen) return;
    const text = structuredClone(data);
    messages.push({ from: this.tab, data: text as { kind: string } });
    for (const other of channels) {
      if (other === this || other.name !== this.name) continue;
      setImmediate(() =>
        other.tab.task(() => {
          if (!other.closed) other.onmessage?.({ data: structuredClone(text) });
        }),
      );
    }
  }

  close(): void {
    this.closed = true;
    channels.delete(this);
  }
}

/** Ends of tabs that are not closed. */
const ports = new Set<Port>();

/** One end of a `MessageChannel`. It does not tell when the other end is gone, as browsers do not. */
class Port {
  onmessage: ((event: { data: unknown }) => void) | undefined;
  other: Port | undefined;

  constructor(readonly tab: Tab) {
    ports.add(this);
  }

  postMessage(data: unknown): void {
    // What it says meanwhile it would have said afterwards.
    if (this.tab.frozen) this.tab.unsaid.push(() => this.postMessage(data));
    const { other } = this;
    // Both ends are closed together, and what was said before arrives.
    if (!this.tab.alive || this.tab.frozen || !ports.has(this)) return;
    const text = structuredClone(data);
    messages.push({ from: this.tab, data: text as { kind: string } });
    setImmediate(() => other?.tab.task(() => other.onmessage?.({ data: text })));
  }

  close(): void {
    ports.delete(this);
    if (this.other) ports.delete(this.other);
  }
}

/** A worker that all tabs share; what is loaded in it has set `onconnect`. */
export class Worker {
  readonly tab = new Tab();

  /** What `new SharedWorker(…)` gives to a tab. */
  connect(): SharedWorker {
    const ends = [new Port(context.getStore() as Tab), new Port(this.tab)] as const;
    ends[0].other = ends[1];
    ends[1].other = ends[0];
    this.tab.run(() => (globalThis as unknown as { onconnect(event: object): void }).onconnect({ ports: [ends[1]] }));
    return Object.assign(new EventTarget(), { port: ends[0] }) as unknown as SharedWorker;
  }
}

/** A call that runs as of the tab that runs now, whenever it is made. */
export const bound = <T>(call: () => T): (() => T) => AsyncLocalStorage.bind(call);

/** Tabs whose intervals do not fire. */
export const silence = new Set<Tab>();

/** The tab that leads. */
export function leader(): Tab | undefined {
  return locks.holder(/^fantail \d/);
}

/** The tab that leads when the leader is gone. */
export function nextLeader(): Tab | undefined {
  return locks.queue.find(({ name, held }) => !held && /^fantail \d/.test(name))?.tab;
}

/** Names of locks that are held or asked for, and the numbers of open channels and ports. */
export function left(): { locks: string[]; channels: number; ports: number } {
  return { locks: locks.queue.map(({ name }) => name), channels: channels.size, ports: ports.size };
}

/** Most requests for locks that one signal could have ended. */
export function mostListeners(): number {
  return locks.mostListeners;
}

/** Call once in a file of tests. With `fake`, intervals and clocks are the test's. */
export function useTabs(fake = false): void {
  beforeEach(() => {
    if (fake) vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
    locks = new Locks();
    channels.clear();
    ports.clear();
    messages.length = 0;
    silence.clear();
    const interval = setInterval;
    vi.stubGlobal('setInterval', (call: () => void, delay: number) => {
      const tab = context.getStore();
      return interval(() => {
        if (!tab) call();
        else if (!silence.has(tab) && !tab.frozen && tab.alive) tab.run(call);
      }, delay);
    });
    const listen = (call: 'addEventListener' | 'removeEventListener', step: number) =>
      (...values: Parameters<EventTarget['addEventListener']>): void => {
        const tab = context.getStore();
        if (!tab) return;
        tab.listeners += step;
        tab[call](...values);
      };
    vi.stubGlobal('addEventListener', listen('addEventListener', 1));
    vi.stubGlobal('removeEventListener', listen('removeEventListener', -1));
    vi.stubGlobal('document', {
      get visibilityState() {
        return context.getStore()?.visibilityState ?? 'visible';
      },
    });
    vi.stubGlobal('navigator', { onLine: true, locks });
    vi.stubGlobal('BroadcastChannel', Channel);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}
