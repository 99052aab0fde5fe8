/**
 * The one error of the client, and which answers of a server close a stream for good.
 */

/** A problem document (RFC 9457), as the node sends it. */
export interface Problem {
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly field?: string;
  readonly [member: string]: unknown;
}

/**
 * - `network`: no answer, a cut, or a status that a proxy gives for a server that is away.
 * - `idle`: silence for longer than `idle`.
 * - `unauthorized`: 401, or the token function failed. `forbidden`: 403.
 * - `refused`: another status that a second attempt would not change.
 * - `overloaded`: 429 or 503.
 * - `decode`: the data of one event. `protocol`: the answer is not an event stream.
 */
export type ErrorCode =
  | 'network'
  | 'idle'
  | 'unauthorized'
  | 'forbidden'
  | 'refused'
  | 'overloaded'
  | 'decode'
  | 'protocol';

export interface ErrorDetails {
  status?: number | undefined;
  problem?: Problem | undefined;
  cause?: unknown;
  /** Milliseconds that the server asks to wait (`Retry-After`). */
  retryAfter?: number | undefined;
}

export class FantailError extends Error {
  override readonly name = 'FantailError';
  readonly code: ErrorCode;
  /** Status of the answer, if there was one. */
  readonly status: number | undefined;
  readonly problem: Problem | undefined;
  /** Milliseconds that the server asks to wait (`Retry-After`). */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.problem = details.problem;
    this.retryAfter = details.retryAfter;
  }
}

/** Statuses that say "not now". Every other one below 500 stays as it is, however often one asks. */
const NOT_NOW = [408, 425, 429];

const CODES: Record<number, ErrorCode> = {
  401: 'unauthorized',
  403: 'forbidden',
  408: 'network',
  425: 'network',
  429: 'overloaded',
  503: 'overloaded',
};

export function codeOf(status: number): ErrorCode {
  return CODES[status] ?? (status < 500 ? 'refused' : 'network');
}

/** Whether another attempt with the same request would fail in the same way. */
export function isFinal(error: FantailError): boolean {
  const { code, status } = error;
  return code === 'protocol' || (status !== undefined && status < 500 && !NOT_NOW.includes(status));
}

/** Hands what a handler threw to the page's error reporting. Never throws. */
export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}
