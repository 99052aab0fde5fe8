/**
 * The tabs that are there, and what each of them wants. A tab has a Web Lock for as long as it is there:
 * whoever gets it knows that the tab is gone, however it went.
 */
import type { Members, Wants } from './messages.ts';

export interface Roll {
  /** By id. */
  all: Members;
  note(id: string, revision: number, wants: Wants): void;
  forget(id: string): void;
  /** Topics of all tabs, by the key of the stream. */
  union(): Map<string, string[]>;
  /** Calls `gone` once when a tab is no longer there, unless it is forgotten before. */
  watch(id: string): void;
  unwatch(): void;
}

export function createRoll(gone: (id: string) => void): Roll {
  /** Ends the wait for a tab's lock, by its id. */
  const watches = new Map<string, AbortController>();
  const roll: Roll = {
    all: {},
    note(id, revision, wants) {
      roll.all[id] = { revision, wants };
    },
    forget(id) {
      delete roll.all[id];
      watches.get(id)?.abort();
      watches.delete(id);
    },
    union() {
      const all = new Map<string, Set<string>>();
      for (const { wants } of Object.values(roll.all)) {
        for (const [key, topics] of Object.entries(wants)) all.set(key, new Set([...(all.get(key) ?? []), ...topics]));
      }
      return new Map([...all].map(([key, topics]) => [key, [...topics]]));
    },
    watch(id) {
      if (watches.has(id)) return;
      // One for each: a signal that all share would have a listener for every tab.
      const watch = new AbortController();
      watches.set(id, watch);
      navigator.locks.request(lockOf(id), { signal: watch.signal }, () => gone(id)).catch(() => {});
    },
    unwatch() {
      watches.forEach((watch) => watch.abort());
      watches.clear();
    },
  };
  return roll;
}

/** Takes the lock of a tab. `entered` is called when it has it, and returns what holds it. */
export function beThere(id: string, entered: () => Promise<void> | undefined): Promise<unknown> {
  return navigator.locks.request(lockOf(id), entered);
}

function lockOf(id: string): string {
  return `fantail tab ${id}`;
}
