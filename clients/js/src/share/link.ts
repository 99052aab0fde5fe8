/**
 * A room of tabs and the link between them: Web Locks and a channel (`by-locks.ts`), the port of a worker
 * (`by-worker.ts`), or the ports in it (`worker.ts`).
 */
import type { ConnectionSink, ConnectOptions, Connection } from '../connection.ts';
import type { TokenReason } from '../types.ts';
import type { Message } from './messages.ts';

/** Between the tabs. `open` and `close` come in turn. */
export interface Link {
  open(id: string): void;
  close(): void;
  post(message: Message): void;
  /** The leader is dead, or does not run. */
  replace(): void;
  /** Another tab leads, as it says, although this one may. */
  resign(): void;
  /** A tab left, or is gone. */
  gone?(id: string): void;
}

export interface Room {
  connect(sink: ConnectionSink, options: ConnectOptions): Connection;
  /** The token of the leader. */
  token(why: TokenReason, signal: AbortSignal): Promise<string | null>;
  /** The session is another one, in all tabs. */
  reset(): void;
  close(): void;
  hear(message: Message): void;
  /** This tab leads from now on. A worker, which wants nothing, gives itself an id. */
  lead(as?: string): void;
  /** This tab leads no longer. */
  demote(): void;
  /** There is no leader: this tab reads for itself until there is one. */
  alone(why: unknown): void;
}
