/**
 * The token of a client: asked for once at a time, renewed before its end, never written anywhere.
 */
import { unless } from './abort.ts';
import { FantailError } from './errors.ts';
import { isToken, type Config } from './options.ts';
import type { ClientOptions, TokenReason } from './types.ts';

/** Time before a token's end at which the next one is fetched; a quarter of a shorter life. */
const MARGIN_MS = 30_000;

/** Time that a token function has. */
export const TOKEN_WAIT_MS = 30_000;

/** Wait after a renewal that failed, or brought the same token, while that is still valid. */
const RENEW_AGAIN_MS = 5_000;

/** Browsers fire longer timers at once. The clock is read again afterwards. */
const TIMER_MAX_MS = 2 ** 31 - 1;

type TokenFunction = Exclude<ClientOptions['token'], string | undefined>;

export interface Tokens {
  /** The token of now; `null` or `undefined` for none. Rejects with what a request would fail with. */
  get(): Promise<string | null | undefined>;
  /** The server refused this token. Whether there may be another one. */
  refused(token: string | null | undefined): boolean;
  /** Forgets the token, and whatever is on its way. */
  reset(): void;
  /** Calls `listener` when a token was renewed before its end. Renews only while there are listeners. */
  onRenewed(listener: () => void): () => void;
}

/**
 * Milliseconds from now to the end of a token, by its claims; `undefined` if it does not tell. A page
 * whose clock is ahead would take every token for expired, so a token counts as fresh for its whole
 * life (`exp - iat`) then.
 */
export function lifeOf(token: string, now = Date.now()): number | undefined {
  try {
    const payload = (token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/');
    const { exp, iat } = JSON.parse(atob(payload)) as { exp?: unknown; iat?: unknown };
    if (typeof exp !== 'number') return undefined;
    const left = exp * 1_000 - now;
    const whole = typeof iat === 'number' ? (exp - iat) * 1_000 : left;
    const life = left > 0 ? Math.min(left, whole) : whole;
    return life > 0 ? life : undefined;
  } catch {
    // No JWT: only a 401 says that it has ended.
    return undefined;
  }
}

export function createTokens({ token: source }: Config, log: (detail: string) => void): Tokens {
  const listeners = new Set<() => void>();
  let token: string | null | undefined;
  /** Time at which the token counts as old. */
  let staleAt = Infinity;
  let why: TokenReason = 'first';
  let flight: Promise<string | null> | undefined;
  let abort: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** Asks the application. A second caller gets the answer to the first. */
  function ask(): Promise<string | null> {
    if (flight) return flight;
    const own = new AbortController();
    abort = own;
    log(`asked: ${why}`);
    const limit = setTimeout(() => {
      own.abort(new Error(`it did not answer within ${TOKEN_WAIT_MS} ms`));
    }, TOKEN_WAIT_MS);
    const call = unless(own.signal, () => (source as TokenFunction)(why, own.signal))
      .then(
        (given) => {
          // A session that was reset while its token was fetched gets none of it.
          own.signal.throwIfAborted();
          if (given !== null && !isToken(given)) {
            throw new TypeError(`it answered with ${typeof given}; a token of ASCII or null is needed`);
          }
          const answer = given && given.trim();
          const life = answer === null ? undefined : lifeOf(answer);
          // One that is kept by the application until its end is no new one.
          const again = answer === token;
          token = answer;
          staleAt =
            life === undefined
              ? Infinity
              : Date.now() + (again ? Math.min(RENEW_AGAIN_MS, life) : life - Math.min(MARGIN_MS, life / 4));
          why = 'expiring';
          schedule(staleAt);
          log(answer === null ? 'none' : life === undefined ? 'got, no end known' : `got, for ${life} ms`);
          return answer;
        },
      )
      .catch((cause: unknown) => {
        throw new FantailError('unauthorized', `the token function failed: ${cause}`, { cause });
      })
      .finally(() => {
        clearTimeout(limit);
        if (flight === call) flight = abort = undefined;
      });
    return (flight = call);
  }

  function schedule(at: number): void {
    clearTimeout(timer);
    if (at === Infinity || !listeners.size) return;
    timer = setTimeout(
      () => {
        if (Date.now() < at) return schedule(at);
        const before = token;
        ask().then(
          (answer) => answer === before || [...listeners].forEach((listener) => listener()),
          (error: FantailError) => {
            log(error.message);
            // After a reset there is nothing to renew.
            if (token !== undefined) schedule(Date.now() + RENEW_AGAIN_MS);
          },
        );
      },
      Math.min(TIMER_MAX_MS, at - Date.now()),
    );
  }

  return {
    async get() {
      if (typeof source !== 'function') return source;
      return token !== undefined && Date.now() < staleAt ? token : ask();
    },
    refused(which) {
      if (typeof source !== 'function') return false;
      // Another stream may have had it replaced already.
      if (which === token) {
        token = undefined;
        why = 'refused';
      }
      return true;
    },
    reset() {
      clearTimeout(timer);
      token = undefined;
      why = 'first';
      flight = undefined;
      abort?.abort(new Error('the session was ended'));
      abort = undefined;
    },
    onRenewed(listener) {
      listeners.add(listener);
      if (listeners.size === 1 && token !== undefined) schedule(staleAt);
      return () => {
        listeners.delete(listener);
        if (!listeners.size) clearTimeout(timer);
      };
    },
  };
}
