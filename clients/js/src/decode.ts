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

/** What a schema answers. */
interface Validation {
  readonly value?: unknown;
  readonly issues?: readonly { readonly message: string }[];
}

export function decode(decoder: Decoder<unknown> = text, name: string, data: string): unknown {
  let cause: unknown;
  let reason: string;
  try {
    if (typeof decoder === 'function') return decoder(data);
    const result = decoder['~standard'].validate(JSON.parse(data)) as Validation;
    if (result instanceof Promise) {
      // Its rejection is not another error.
      result.catch(() => {});
      reason = 'the schema answers later, and events stay in order';
    } else if (result.issues) {
      cause = result.issues;
      reason = result.issues.map((issue) => issue.message).join('; ');
    } else {
      return result.value;
    }
  } catch (error) {
    cause = error;
    reason = String(error);
  }
  throw new FantailError('decode', `the data of \`${name}\` could not be decoded: ${reason}`, { cause });
}
