/**
 * One request for a stream, whichever way it is made.
 */
import type { FantailError } from '../errors.ts';
import type { Runtime } from '../connection.ts';
import type { Block } from '../parser.ts';

export interface StreamRequest {
  readonly url: URL;
  readonly token: string | null | undefined;
  readonly cursor: string | undefined;
  readonly runtime: Pick<Runtime, 'config' | 'names' | 'nameListeners'>;
}

/** Nothing is called after `stop`, and nothing after `end`. */
export interface TransportSink {
  /**
   * The server accepted the request. It may still end it before its first word (a shed stream).
   * `missing`: it does not go on from the cursor, but from this id.
   */
  accepted(missing?: string): void;
  /** Bytes came, of whatever kind. */
  heard(): void;
  block(block: Block): void;
  retry(milliseconds: number): void;
  comment(text: string): void;
  /** The stream is over. Without an error it came to its proper end. */
  end(error?: FantailError): void;
}

export interface Wire {
  /** Ends the request and releases what it holds. */
  stop(): void;
}

export type Transport = (request: StreamRequest, sink: TransportSink) => Wire;
