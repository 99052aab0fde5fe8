/**
 * Sharing without a worker: the tab that has a Web Lock leads, and a `BroadcastChannel` carries what it
 * reads. A lock is let go when its tab ends, but not when its tab hangs: then another one steals it.
 */
import type { Runtime } from '../connection.ts';
import type { Room } from './link.ts';
import { VERSION, type Message } from './messages.ts';
import type { TokenSource } from './one-token.ts';
import { createRoom } from './room.ts';

export function shareByLocks(runtime: Runtime, source: TokenSource): Room {
  const { url, share } = runtime.config;
  const name = `fantail ${VERSION} ${url.href} ${share}`;
  let channel: BroadcastChannel | undefined;
  let request: AbortController | undefined;
  /** Lets go of the lock. */
  let resign: (() => void) | undefined;

  function elect(steal: boolean): void {
    const { signal } = (request = new AbortController());
    navigator.locks
      .request(name, steal ? { steal } : { signal }, () => {
        if (signal.aborted) return undefined;
        const held = new Promise<void>((resolve) => (resign = resolve));
        room.lead();
        return held;
      })
      .catch((error: Error) => {
        if (signal.aborted) return;
        room.demote();
        // Stolen, or there are no locks for this page.
        if (error.name === 'AbortError') elect(false);
        else room.alone(error);
      });
  }

  function withdraw(): void {
    request?.abort();
    resign?.();
    resign = undefined;
  }

  const room = createRoom(runtime, source, {
    open() {
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }: MessageEvent<Message>) => room.hear(data);
      elect(false);
    },
    close() {
      withdraw();
      channel?.close();
      channel = undefined;
    },
    post: (message) => channel?.postMessage(message),
    replace() {
      withdraw();
      elect(true);
    },
    // Two tabs stole the lock, and the second knew nothing of the first: the next one is later than both.
    resign() {
      withdraw();
      elect(false);
    },
  });
  return room;
}
