/**
 * The events of a fake node, and what a cursor is answered with.
 */
import { matches } from '../address.ts';
import type { Gap } from '../types.ts';

export interface KeptEvent {
  readonly id: string;
  readonly topics: readonly string[];
  readonly event: string | undefined;
  readonly data: string;
}

interface Answer {
  /** Id of the prime. */
  readonly id: string;
  readonly gap: Gap | undefined;
  readonly events: readonly KeptEvent[];
}

export interface History {
  /** Id of the newest event; before the first, that of the start. */
  readonly newest: string;
  add(topics: readonly string[], data: string, event: string | undefined, id: string | undefined): KeptEvent;
  forget(): void;
  resume(cursor: string | undefined): Answer;
}

/** Looks like a node's mark: six characters. */
const MARK = 'fake00';

export function createHistory(): History {
  let ms = Date.now();
  let count = 0;
  const idOf = (): string => `${ms}-${count}.${MARK}`;
  const ids = [idOf()];
  /** Events by the place of their id in `ids`; forgotten ones are absent. */
  let kept = new Map<number, KeptEvent>();
  /** Place of the newest id that is forgotten. */
  let forgotten = 0;

  const newest = (): string => ids.at(-1) as string;

  return {
    get newest() {
      return newest();
    },
    add(topics, data, event, own) {
      const now = Date.now();
      // A clock that a test sets back must not repeat an id.
      count = now > ms ? 0 : count + 1;
      ms = Math.max(now, ms);
      const added = { id: own ?? idOf(), topics, event, data };
      kept.set(ids.push(added.id) - 1, added);
      return added;
    },
    forget() {
      kept = new Map();
      forgotten = ids.length - 1;
    },
    resume(cursor) {
      if (cursor === undefined) return { id: newest(), gap: undefined, events: [] };
      const oldest = ids[forgotten] as string;
      const all = [...kept.values()];
      if (cursor === 'earliest') return { id: oldest, gap: undefined, events: all };
      const place = ids.indexOf(cursor);
      if (place < 0) return { id: oldest, gap: { from: cursor, to: newest(), reason: 'unknown' }, events: all };
      if (place < forgotten) return { id: cursor, gap: { from: cursor, to: oldest, reason: 'evicted' }, events: all };
      const events = [...kept].filter(([each]) => each > place).map(([, event]) => event);
      return { id: cursor, gap: undefined, events };
    },
  };
}

/** The topics of an event that a stream of these selectors has. No selectors are all topics. */
export function matched(selectors: readonly string[], topics: readonly string[]): string[] {
  return topics.filter((topic) => !selectors.length || selectors.some((selector) => matches(selector, topic)));
}
