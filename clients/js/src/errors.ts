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
  declare readonly code: ErrorCode;
  /** Status of the answer, if there was one. */
  declare readonly status: number | undefined;
  declare readonly problem: Problem | undefined;
  /** Milliseconds that the server asks to wait (`Retry-After`). */
  declare readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, { cause, ...details }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    Object.assign(this, details);
  }
}

/** 408, 425 and 429 say "not now". Every other one below 500 stays as it is, however often one asks. */
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
export function isFinal({ code, status = 500 }: FantailError): boolean {
  return code === 'protocol' || (status < 500 && code !== 'network' && code !== 'overloaded');
}

/** Hands what a handler threw to the page's error reporting. Never throws. */
export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}

/** The answer to `call`; what it throws is reported. */
export function guarded<R>(call: () => R): R | undefined {
  try {
    return call();
  } catch (error) {
    report(error);
    return undefined;
  }
}

/**
 * Calls each listener that has not ended meanwhile, while the value is `current`; what one throws is
 * reported and stops nothing.
 */
export function tell<T>(listeners: ReadonlySet<(value: T) => void>, value: T, current = () => true): void {
  for (const listener of [...listeners]) guarded(() => current() && listeners.has(listener) && listener(value));
}
