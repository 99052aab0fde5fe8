/**
 * Tokens that the node of the tests accepts (JSON Web Tokens, HS256).
 */
import { createHmac } from 'node:crypto';

export const SECRET = 'a-secret-of-at-least-thirty-two-bytes';

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const signed = (text: string): string => createHmac('sha256', SECRET).update(text).digest('base64url');

/** A token of this life, in seconds. */
export function token(seconds: number): string {
  const now = Date.now() / 1_000;
  const claims = { mercure: { subscribe: ['*'], publish: ['*'] }, iat: now, exp: now + seconds };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${signed(text)}`;
}

/** Time (milliseconds since 1970) at which a token ends; `undefined` if it is none of ours, or has ended. */
export function endOf(header: string | undefined): number | undefined {
  const [, text, signature] = /^Bearer ([^.]+\.[^.]+)\.([^.]+)$/.exec(header ?? '') ?? [];
  if (!text || signature !== signed(text)) return undefined;
  const { exp } = JSON.parse(Buffer.from(text.split('.')[1] as string, 'base64url').toString()) as { exp: number };
  return exp * 1_000 > Date.now() ? exp * 1_000 : undefined;
}
