/**
 * What the page and the network say: on and off line, hidden, left and restored, frozen and resumed.
 * Listens only while somebody listens here. Outside of a browser it says nothing.
 */

export type PageSignal = 'online' | 'offline' | 'left' | 'shown' | 'resumed';

export interface Page {
  /** Calls `listener` at each signal. Returns what ends that. */
  listen(listener: (signal: PageSignal) => void): () => void;
  /** The page is in the back/forward cache, frozen or on its way out; or hidden, which only counts if asked for. */
  away(countHidden: boolean): boolean;
}

/** Event, and the signal that it is. A change of visibility may end a pause, or begin one. */
const SIGNALS: [name: string, signal: PageSignal][] = [
  ['online', 'online'],
  ['offline', 'offline'],
  ['pagehide', 'left'],
  ['pageshow', 'shown'],
  // These fire at the document. A frozen page (Page Lifecycle) would keep a stream that nobody reads.
  ['visibilitychange', 'resumed'],
  ['freeze', 'left'],
  ['resume', 'shown'],
];

export function createPage(): Page {
  const listeners = new Set<(signal: PageSignal) => void>();
  const scope = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener' | 'document'>>;
  let left = false;

  // What fires at the document bubbles, or is caught on its way down to it.
  function hear(event: { type: string }): void {
    const signal = SIGNALS.find(([name]) => name === event.type)?.[1] as PageSignal;
    if (signal === 'left') left = true;
    if (signal === 'shown') left = false;
    for (const listener of [...listeners]) listener(signal);
  }

  function each(call: 'addEventListener' | 'removeEventListener'): void {
    for (const [name] of SIGNALS) scope[call]?.(name, hear, true);
  }

  return {
    listen(listener) {
      if (!listeners.size) each('addEventListener');
      listeners.add(listener);
      return () => {
        if (listeners.delete(listener) && !listeners.size) {
          each('removeEventListener');
          left = false;
        }
      };
    },
    away: (countHidden) => left || (countHidden && scope.document?.visibilityState === 'hidden'),
  };
}
