/**
 * What the page and the network say: on and off line, hidden, left and restored, frozen and resumed.
 * Listens only while somebody listens here. Outside of a browser it says nothing.
 */

/**
 * The events that count. A change of visibility may end a pause, or begin one. The last three fire at
 * the document; a frozen page (Page Lifecycle) would keep a stream that nobody reads.
 */
const SIGNALS = ['online', 'offline', 'pagehide', 'pageshow', 'visibilitychange', 'freeze', 'resume'] as const;

export type PageSignal = (typeof SIGNALS)[number];

export interface Page {
  /** Calls `listener` at each signal. Returns what ends that. */
  listen(listener: (signal: PageSignal) => void): () => void;
  /** The page is in the back/forward cache, frozen or on its way out; or hidden, which only counts if asked for. */
  away(countHidden: boolean): boolean;
}

export function createPage(): Page {
  const listeners = new Set<(signal: PageSignal) => void>();
  const scope = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener' | 'document'>>;
  let left = false;

  // What fires at the document bubbles, or is caught on its way down to it.
  function hear({ type }: { type: string }): void {
    if (type === 'pagehide' || type === 'freeze') left = true;
    if (type === 'pageshow' || type === 'resume') left = false;
    for (const listener of [...listeners]) listener(type as PageSignal);
  }

  function each(call: 'addEventListener' | 'removeEventListener'): void {
    for (const name of SIGNALS) scope[call]?.(name, hear, true);
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
