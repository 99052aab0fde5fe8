/** Ids of the node's own form, `<milliseconds>-<number>.<mark>`. Only they tell which event was first. */

interface Parts {
  readonly time: number;
  readonly count: number;
  /** Of the node, or of its history: ids with other marks have no order. */
  readonly mark: string;
}

function partsOf(id: string): Parts | undefined {
  const match = /^(\d{1,15})-(\d{1,15})\.([0-9a-z]{6})$/.exec(id);
  return match ? { time: Number(match[1]), count: Number(match[2]), mark: match[3] as string } : undefined;
}

/** Milliseconds since 1970 of a node's id; `undefined` for any other id. */
export function timeOf(id: string): number | undefined {
  return partsOf(id)?.time;
}

/** Whether an event is in a state with this cursor, as far as both ids tell. */
export function isWithin(id: string, cursor: string): boolean {
  if (id === cursor) return true;
  const one = partsOf(id);
  const other = partsOf(cursor);
  if (!one || !other || one.mark !== other.mark) return false;
  return one.time < other.time || (one.time === other.time && one.count <= other.count);
}
