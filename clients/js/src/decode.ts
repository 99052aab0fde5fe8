/**
 * From the text of an event to its data.
 */
import { FantailError } from './errors.ts';
import type { Decoder } from './types.ts';

/** The text as it is: what events without a decoder get. */
export function text(data: string): string {
  return data;
}

/** JSON. The type is what the application says; a schema checks it. */
export function json<T>(): (data: string) => T {
  return JSON.parse as (data: string) => T;
}

/** JSON of a server, which may be none. */
export function jsonOf(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

/** What a schema answers. */
interface Validation {
  readonly value?: unknown;
  readonly issues?: readonly { readonly message: string }[];
}

export function decode(decoder: Decoder<unknown> = text, name: string, data: string): unknown {
  let issues: Validation['issues'];
  try {
    if (typeof decoder === 'function') return decoder(data);
    const result = decoder['~standard'].validate(JSON.parse(data)) as Validation;
    if (result instanceof Promise) {
      // Its rejection is not another error.
      result.catch(() => {});
      throw 'the schema answers later, and events stay in order';
    }
    issues = result.issues;
    if (!issues) return result.value;
    throw issues.map((issue) => issue.message).join('; ');
  } catch (reason) {
    throw new FantailError('decode', `the data of \`${name}\` could not be decoded: ${reason}`, {
      cause: issues ?? reason,
    });
  }
}
