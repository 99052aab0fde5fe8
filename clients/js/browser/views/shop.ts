/**
 * What the pages in React and Vue have in common.
 */
import { createClient, json } from '../../src/index.ts';

/** Pieces by name. */
export type Stock = Record<string, number>;

/** The events of the page. */
export type Shop = { stock: Stock; message: string };

/** At module scope, as applications have it: on a server it is made and never connects. */
export const client = createClient<Shop>({
  url: `${globalThis.location?.origin ?? 'http://127.0.0.1:1'}/hub/`,
  events: { stock: json<Stock>() },
  retry: { base: 20, max: 100 },
  linger: 500,
});

export async function loadStock(signal: AbortSignal): Promise<Stock> {
  return (await fetch('/stock.json', { signal })).json() as Promise<Stock>;
}

export const shown = (stock: Stock | undefined): string =>
  Object.entries(stock ?? { none: 0 })
    .map(([name, pieces]) => `${name}=${pieces}`)
    .sort()
    .join(' ');

/** What is to be drawn. */
export interface View {
  /** Another key is another component. */
  key: number;
  /** A view that is hidden is kept (`<Activity>`, `v-if`); one that is not mounted is not. */
  visible: boolean;
  mounted: boolean;
  room: string;
}

/** What the test finds at `window.app`. */
export interface PageOfViews {
  /** Errors and warnings of the framework that do not reach the console. */
  readonly complaints: readonly string[];
  /** Draws at once. */
  draw(view: View): void | Promise<void>;
  /** Ends the application, as a page that is left does. */
  end(): void;
}
