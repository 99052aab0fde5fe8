/**
 * Sharing by a worker of the application: it leads, and each tab follows by a port.
 */
import type { Runtime } from '../connection.ts';
import { FantailError } from '../errors.ts';
import type { TokenReason } from '../types.ts';
import type { Room } from './link.ts';
import { VERSION, type Answer, type Message } from './messages.ts';
import type { TokenSource } from './one-token.ts';
import { createRoom } from './room.ts';

/** What a worker has to know of a client. All of it is plain data. */
export interface Opening {
  readonly kind: 'open';
  readonly id: string;
  readonly version: string;
  readonly share: string;
  readonly options: Record<string, unknown>;
  /** A token that never changes. */
  readonly token: string | undefined;
  /** The tabs have a token function. */
  readonly asks: boolean;
}

/** The worker was built of another version of the package. */
export interface Refusal {
  readonly kind: 'refused';
  readonly version: string;
}

export function shareByWorker(runtime: Runtime, source: TokenSource, worker: SharedWorker): Room {
  const { config } = runtime;
  const { port } = worker;
  let own = '';
  /** Ends the call of the token function. */
  let calling: AbortController | undefined;

  const options = {
    url: config.url.href,
    server: config.server,
    from: config.from,
    retry: { base: config.base, max: config.max, attempts: config.attempts },
    idle: config.idle,
    linger: config.linger,
    topicsPerStream: config.topicsPerStream,
    credentials: config.credentials,
    headers: [...new Headers(config.headers as HeadersInit | undefined)],
  };

  async function call(number: number, why: TokenReason): Promise<void> {
    calling?.abort();
    const { signal } = (calling = new AbortController());
    const base = { kind: 'called', id: own, number } as const;
    const answer = await source(why, signal).then(
      (token): Answer => ({ ...base, token }),
      (error): Answer => ({ ...base, error: error instanceof FantailError ? error.message : String(error) }),
    );
    // The worker asks another tab when this one leaves.
    if (!signal.aborted) port.postMessage(answer);
  }

  worker.addEventListener('error', () => room.alone('the worker could not be started'));
  port.onmessage = ({ data }: MessageEvent<Message | Refusal>) => {
    if (data.kind === 'refused') room.alone(`the worker has version ${data.version}, this page ${VERSION}`);
    else if (data.kind === 'call') {
      if (data.id === own) void call(data.number, data.why);
    } else room.hear(data);
  };

  const room = createRoom(runtime, source, {
    open(id) {
      own = id;
      const opening: Opening = {
        kind: 'open',
        id,
        version: VERSION,
        share: config.share as string,
        options,
        token: typeof config.token === 'string' ? config.token : undefined,
        asks: typeof config.token === 'function',
      };
      port.postMessage(opening);
    },
    // A page that comes back uses the port again.
    close() {
      own = '';
      calling?.abort();
    },
    post: (message) => port.postMessage(message),
    resign() {},
    replace: () => room.alone('the worker is silent'),
  });
  return {
    ...room,
    close() {
      room.close();
      port.close();
    },
  };
}
