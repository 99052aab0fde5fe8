/**
 * What a client does, in the console. Not in a bundle unless it is imported.
 */
import { INSPECT, type Inspectable, type Inspection } from './client.ts';
import type { Client, EventMap, LogLine } from './types.ts';

/**
 * Prints the streams and subscriptions of a client, and from then on every event, gap and reconnect.
 * `stop()` ends it; `inspection` is what was printed.
 */
export function debug<M extends EventMap>(client: Client<M>): { inspection: Inspection; stop: () => void } {
  const result = (client as unknown as Inspectable)[INSPECT](print);
  const { url, server, status, streams, subscriptions } = result.inspection;
  console.log(`fantail: ${server} ${url}`, status);
  const word = (value: { status: { state: string } }): object => ({ ...value, status: value.status.state });
  console.table(streams.map(word));
  console.table(subscriptions.map(word));
  return result;
}

function print({ at, stream, kind, detail }: LogLine): void {
  console.log(`fantail ${new Date(at).toISOString().slice(11, 23)} [${stream}] ${kind}`, detail ?? '');
}
