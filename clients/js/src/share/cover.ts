/**
 * From where on the leader's blocks are complete for a follower: not known yet; known, and kept until
 * requests of its own have got there; or handed over as they come.
 */
import { isWithin, timeOf } from '../ids.ts';
import { OVERLAP_EVENTS_MAX } from '../overlap.ts';
import type { Item, StreamState } from './messages.ts';
import { NOWHERE, type Place } from './places.ts';

export interface Cover {
  readonly phase: 'none' | 'behind' | 'live';
  /** Where the leader's blocks begin. */
  readonly start: string | undefined;
  /** Everything that the leader has sent before is within this, as far as ids tell. */
  readonly floor: string | undefined;
  /** From here on the leader may send again what came before. */
  readonly again: Place;
  /** The leader begins there. Its blocks are kept from now on. */
  begin(told: StreamState): void;
  /** Its blocks are all that is needed. Returns those that were kept. */
  join(): readonly Item[];
  keep(items: readonly Item[]): void;
  /** Requests of this tab, which are at `place`, have what was not kept. */
  isReached(place: Place): boolean;
  /** What the leader sends is not known to be complete any longer. */
  end(): void;
}

/** Whether somebody at this place has everything up to `goal`. */
export function reaches({ cursor, safe }: Place, goal: string | undefined): boolean {
  return goal !== undefined && (goal === cursor || (safe !== undefined && isWithin(goal, safe)));
}

export function createCover(): Cover {
  let kept: Item[] = [];
  const ids = new Set<string>();
  const cover = {
    phase: 'none' as Cover['phase'],
    start: undefined as string | undefined,
    again: NOWHERE,
    get floor() {
      // A publisher's own id is before no other one.
      return cover.start && timeOf(cover.start) !== undefined ? cover.start : (cover.again.safe ?? cover.start);
    },
    begin(told: StreamState) {
      cover.end();
      ({ start: cover.start, place: cover.again } = told);
      cover.phase = 'behind';
    },
    join() {
      const items = kept;
      cover.end();
      cover.phase = 'live';
      return items;
    },
    keep(items: readonly Item[]) {
      kept.push(...items);
      for (const [{ id }] of items) if (id) ids.add(id);
      // The next beat is another place to begin at.
      if (kept.length > OVERLAP_EVENTS_MAX) cover.end();
    },
    isReached(place: Place) {
      if (cover.phase !== 'behind') return false;
      // A block that both have had: if the leader sends in order, the rest of its blocks are kept.
      const isInOrder = cover.start !== undefined && cover.start === cover.again.cursor;
      const isShared = isInOrder && place.cursor !== undefined && ids.has(place.cursor);
      return isShared || reaches(place, cover.start);
    },
    end() {
      cover.phase = 'none';
      kept = [];
      ids.clear();
    },
  };
  return cover;
}
