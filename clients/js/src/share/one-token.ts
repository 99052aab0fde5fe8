/**
 * One token for all tabs, which the leader's token function gives. A tab that needs it asks the leader,
 * and the next one if that is gone.
 */
import type { Tokens } from '../token.ts';
import type { TokenReason } from '../types.ts';
import type { Answer, Message } from './messages.ts';

export type TokenSource = (why: TokenReason, signal: AbortSignal) => Promise<string | null>;

interface Ask {
  readonly number: number;
  readonly why: TokenReason;
  readonly signal: AbortSignal;
  /** The leader that was asked. */
  term?: number;
  resolve(token: Promise<string | null> | string | null): void;
  reject(error: Error): void;
}

export interface OneToken {
  /** This tab waits for a token. */
  readonly isAsked: boolean;
  /** Waits for the token of the leader. `done` is called when nothing is waited for any longer. */
  get(why: TokenReason, signal: AbortSignal, done: () => void): Promise<string | null>;
  /** A leader lives: asks it, unless it was asked. */
  ask(id: string, term: number): void;
  /** The leader's answer. */
  take(answer: Answer): void;
  /** No leader will answer: this tab's own function does. */
  answer(): void;
  /** This tab leads, and was asked. `refused` is the token that a server did not accept. */
  give(id: string, number: number, refused: string | null | undefined): Promise<void>;
  /** Nothing is waited for any longer. */
  end(): void;
}

export function createOneToken(tokens: Tokens, source: TokenSource, post: (message: Message) => void): OneToken {
  let waiting: Ask | undefined;
  let count = 0;
  /** The last token that a leader gave. */
  let given: string | null | undefined;
  return {
    get isAsked() {
      return waiting !== undefined;
    },
    get(why, signal, done) {
      let own: Ask | undefined;
      return new Promise<string | null>((resolve, reject) => {
        waiting = own = { number: ++count, why, signal, resolve, reject };
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }).finally(() => {
        if (waiting !== own) return;
        waiting = undefined;
        done();
      });
    },
    ask(id, term) {
      if (!waiting || waiting.term === term) return;
      waiting.term = term;
      post({ kind: 'ask', id, number: waiting.number, refused: waiting.why === 'refused' ? given : undefined });
    },
    take({ number, token, error }) {
      if (number !== waiting?.number) return;
      if (error !== undefined) return waiting.reject(new Error(error));
      given = token;
      waiting.resolve(token ?? null);
    },
    answer() {
      if (!waiting) return;
      const { why, signal, resolve } = waiting;
      resolve(source(why, signal));
    },
    async give(id, number, refused) {
      if (refused !== undefined) tokens.refused(refused);
      const base = { kind: 'token', id, number } as const;
      const reply = await tokens.get().then(
        (token): Answer => ({ ...base, token }),
        (error: Error): Answer => ({ ...base, error: error.message }),
      );
      post(reply);
    },
    end() {
      waiting?.reject(new Error('the client was closed'));
      waiting = undefined;
    },
  };
}
