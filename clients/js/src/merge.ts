/**
 * An event of several topics comes by each stream that has one of them. This tells the repetitions.
 */
import type { ConnectionSink } from './connection.ts';
import { keyOf, timeOf } from './ids.ts';

/** Events that are remembered while a client has several streams. */
const MERGED_EVENTS_MAX = 10_000;

interface Entry {
  readonly topics: Set<string>;
  readonly streams: Set<object>;
}

export interface Merge {
  /** The sink of one more stream. */
  sink(): ConnectionSink;
}

/** `several`: whether it matters. */
export function createMerge(sink: ConnectionSink, several: () => boolean): Merge {
  const entries = new Map<string, Entry>();
  return {
    sink() {
      const stream = {};
      return {
        changed: () => sink.changed(),
        block(block, told) {
          const { id, data, topics } = block;
          // A second stream begins at the last id of the node's own, and repeats what has come since.
          const isOver = !several() && timeOf(id ?? '') !== undefined;
          if (isOver) entries.clear();
          if (isOver || !id || data === undefined || !topics.length) return sink.block(block, told);
          const key = keyOf(block);
          const known = entries.get(key);
          const isSame = known && (told.length || !known.streams.has(stream));
          const entry: Entry = isSame ? known : { topics: new Set(), streams: new Set() };
          const before = [...told, ...entry.topics];
          entry.streams.add(stream);
          for (const topic of topics) entry.topics.add(topic);
          entries.set(key, entry);
          if (entries.size > MERGED_EVENTS_MAX) entries.delete(entries.keys().next().value as string);
          sink.block(block, before);
        },
      };
    },
  };
}
