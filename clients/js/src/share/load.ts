/**
 * Loads the code of sharing when it is first needed, so that clients that do not share never have it.
 * If it cannot be loaded, or the browser lacks what it needs, the tab has streams of its own.
 */
import { IDLE, type Connect, type Connection, type Runtime } from '../connection.ts';
import { connectOwn } from '../own.ts';
import type { TokenSource } from './one-token.ts';
import type { Room } from './link.ts';

export interface Sharing {
  readonly connect: Connect;
  readonly token: TokenSource;
  /** The session is another one, in all tabs. */
  reset(): void;
  close(): void;
}

/** `runtime` is called after the client is complete. */
export function shareLazily(runtime: () => Runtime, source: TokenSource): Sharing {
  let loading: Promise<Room | undefined> | undefined;

  async function open(): Promise<Room | undefined> {
    const all = runtime();
    const { worker } = all.config;
    try {
      if (!globalThis.navigator?.locks) throw new Error('there are no Web Locks; they need https or localhost');
      return worker
        ? (await import('./by-worker.ts')).shareByWorker(all, source, worker())
        : (await import('./by-locks.ts')).shareByLocks(all, source);
    } catch (error) {
      all.log(0, 'share', `own stream: ${String(error)}`);
      return undefined;
    }
  }

  const load = (): Promise<Room | undefined> => (loading ??= open());

  return {
    connect(all, sink, options) {
      if (!options.key) return connectOwn(all, sink, options);
      let inner: Connection | undefined;
      let wanted: readonly string[] | undefined;
      let closed = false;
      void load().then((room) => {
        if (closed) return;
        inner = room ? room.connect(sink, options) : connectOwn(all, sink, options);
        inner.want(wanted);
        sink.changed();
      });
      return {
        want(topics, linger) {
          wanted = topics;
          if (inner) inner.want(topics, linger);
          else sink.changed();
        },
        status: (topics) => inner?.status(topics) ?? (wanted ? { state: 'connecting', attempt: 1 } : IDLE),
        cursor: () => inner?.cursor(),
        restart: () => inner?.restart(),
        close() {
          closed = true;
          inner?.close();
        },
        inspect: () => inner?.inspect() ?? [],
      };
    },
    token: async (why, signal) => ((await load()) ?? { token: source }).token(why, signal),
    reset: () => void load().then((room) => room?.reset()),
    close: () => void loading?.then((room) => room?.close()),
  };
}
