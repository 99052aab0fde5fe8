/** Ids of the node's own form, `<milliseconds>-<number>.<mark>`. Only they tell which event was first. */

import type { Block } from './parser.ts';

/** The mark is of the node, or of its history: ids with other marks have no order. */
type Parts = [time?: number, count?: number, mark?: string];

function partsOf(id: string): Parts {
  const [, time, count, mark] = /^(\d{1,15})-(\d{1,15})\.([0-9a-z]{6})$/.exec(id) ?? [];
  return mark ? [Number(time), Number(count), mark] : [];
}

/** Milliseconds since 1970 of a node's id; `undefined` for any other id. */
export function timeOf(id: string): number | undefined {
  return partsOf(id)[0];
}

/**
 * What an event is known by if it comes again. A publisher may use an id of its own again, for another
 * event, so that alone does not do.
 */
export function keyOf({ id = '', event, data }: Block): string {
  if (timeOf(id) !== undefined) return id;
  const text = `${event}\n${data}`;
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return `${id} ${hash}`;
}

/** Whether an event is in a state with this cursor, as far as both ids tell. */
export function isWithin(id: string, cursor: string): boolean {
  const [time = 0, count = 0, mark] = partsOf(id);
  const [lastTime = 0, lastCount = 0, lastMark] = partsOf(cursor);
  if (!mark || mark !== lastMark) return id === cursor;
  return (time - lastTime || count - lastCount) <= 0;
}
