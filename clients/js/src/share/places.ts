/**
 * Where streams are: the place from which another request misses nothing, and the one beyond which
 * nothing was sent yet. With one stream that is one place. Several streams are not equally far, and a
 * request with more topics repeats what came before.
 */
import type { StreamInfo } from '../connection.ts';
import { isWithin } from '../ids.ts';

/** Whoever has everything up to here may begin here. */
export interface Place {
  /** The last id, which may be a publisher's own: only streams of its topic know that. */
  readonly cursor: string | undefined;
  /** The last id that every stream of the server knows. */
  readonly safe: string | undefined;
}

export const NOWHERE: Place = { cursor: undefined, safe: undefined };

/** The id that is before (or, with `newest`, behind) all others; `undefined` if some cannot be compared. */
function extreme(ids: readonly string[], newest: boolean): string | undefined {
  return ids.find((id) => ids.every((other) => (newest ? isWithin(other, id) : isWithin(id, other))));
}

/** From where other requests lose nothing of these streams. `before` is what was true earlier. */
export function placeOf(streams: readonly StreamInfo[], before: Place, isNode: boolean): Place {
  const [only] = streams;
  if (!only) return before;
  if (streams.length === 1) {
    return { cursor: only.cursor, safe: isNode ? (only.nodeId ?? before.safe) : only.cursor };
  }
  const ids = streams.flatMap(({ nodeId }) => nodeId ?? []);
  // A stream that has not begun is where all of them were.
  const isWhole = ids.length === streams.length || !before.safe;
  const safe = (isWhole && extreme(ids, false)) || before.safe;
  return { cursor: safe, safe };
}

/**
 * Nothing from beyond this was sent by these streams. `undefined`: that is not known, because a request
 * repeats what came before, or ids cannot be compared.
 */
export function startOf(streams: readonly StreamInfo[]): string | undefined {
  if (streams.some(({ remembered }) => remembered)) return undefined;
  return extreme(streams.flatMap(({ cursor }) => cursor ?? []), true);
}
