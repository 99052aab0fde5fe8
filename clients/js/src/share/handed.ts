/**
 * What this tab has handed to its subscriptions, so that nothing is handed over twice: the next request,
 * and the next leader, begin before the newest of it.
 */
import { isWithin, keyOf } from '../ids.ts';
import { createOverlap, OVERLAP_EVENTS_MAX } from '../overlap.ts';
import type { Block } from '../parser.ts';
import type { Place } from './places.ts';

export interface Handed {
  /** The place at which this tab began. What is before it may come again, and was not asked for. */
  floor: string | undefined;
  /** Blocks have come from several streams, so their order is not that of their places. */
  isSplit: boolean;
  /** Somebody at this place was handed this block, and everything before it. */
  has(id: string | undefined, place: Place): boolean;
  /** Topics with which the last block of this id came. */
  topicsOf(id: string | undefined): readonly string[];
  /** What comes next begins at this place, so it repeats what is known from there on. */
  expect(place: Place): void;
  /**
   * Takes a block that came before, here or in another tab, with the topics `told`. Returns the topics
   * of which subscriptions of this tab have had it; `undefined` if nothing of it is new.
   */
  take(block: Block, told: readonly string[]): readonly string[] | undefined;
}

/** A block without what is not needed to know it again. That of a heartbeat has no key. */
interface Taken {
  readonly id: string;
  readonly key: string;
  topics: readonly string[];
}

export function createHanded(floor: string | undefined): Handed {
  const overlap = createOverlap();
  /** Oldest first. */
  let recent: Taken[] = [];

  /** Number of the blocks up to the last one of which this holds. */
  function upTo(test: (block: Taken) => boolean): number {
    let count = recent.length;
    while (count && !test(recent[count - 1] as Taken)) count--;
    return count;
  }

  function remember(block: Taken): void {
    recent.push(block);
    if (recent.length > 2 * OVERLAP_EVENTS_MAX) recent = recent.slice(OVERLAP_EVENTS_MAX);
  }

  /** A prime or a heartbeat. */
  function hearBeat(id: string): void {
    // It speaks of its own stream alone.
    if (!handed.isSplit) overlap.reached(id);
    // It is a place behind all that is known, unless something of that is still to be repeated.
    if (!overlap.size() && !upTo((other) => isWithin(id, other.id))) remember({ id, key: '', topics: [] });
  }

  const last = (id: string | undefined): Taken | undefined => recent[upTo((other) => other.id === id) - 1];

  const handed: Handed = {
    floor,
    isSplit: false,
    has(id, { safe }) {
      // A request with more topics repeats what is before the newest: some of it is still to come.
      const isBehind = upTo((other) => safe !== undefined && other.id !== safe && isWithin(safe, other.id)) > 0;
      return !handed.isSplit && !isBehind && last(id) !== undefined;
    },
    topicsOf: (id) => last(id)?.topics ?? [],
    expect({ cursor, safe = cursor }) {
      if (!safe) return overlap.expect([]);
      const passed = handed.isSplit ? 0 : upTo(({ id }) => id === cursor) || upTo(({ id }) => isWithin(id, safe));
      const again = recent.filter(
        ({ id, key }, index) => key && !isWithin(id, safe) && (index >= passed || isWithin(safe, id)),
      );
      overlap.expect(again);
    },
    take(block, told) {
      const { id, data, topics } = block;
      if (data === undefined) {
        if (id) hearBeat(id);
        return told;
      }
      if (id && handed.floor && isWithin(id, handed.floor)) return undefined;
      const repeated = overlap.take(block);
      if (repeated === 'all') return undefined;
      const key = keyOf(block);
      // Several streams may bring it, or a request with more topics. What came before may have come to
      // other tabs, or before this one wanted it.
      const known = told.length ? recent[upTo((other) => other.key === key) - 1] : undefined;
      const before = [...repeated, ...(known?.topics ?? [])];
      if (before.length && topics.every((topic) => before.includes(topic))) return undefined;
      if (known) known.topics = [...before, ...topics];
      else if (id) remember({ id, key, topics: [...before, ...topics] });
      return before;
    },
  };
  return handed;
}
