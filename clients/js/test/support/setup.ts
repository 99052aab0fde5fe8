/**
 * A server and a client for each test; both end with it.
 */
import { afterEach } from 'vitest';
import { createClient, type Client, type ClientOptions, type DefaultEvents, type Events, type EventMap, type Status } from '../../src/index.ts';
import { startServer, type TestServer } from './server.ts';

const endings: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

export function atEnd(end: () => unknown): void {
  endings.push(end);
}

export async function server(): Promise<TestServer> {
  const started = await startServer();
  atEnd(() => started.close());
  return started;
}

/** A client that waits little. */
export function client<E extends EventMap = DefaultEvents>(options: ClientOptions<E>): Client<Events<E>> {
  const made = createClient<E>({ retry: { base: 5, max: 20 }, linger: 20, ...options });
  atEnd(() => made.close());
  return made;
}

/** The states that a client was in. */
export function states(of: Client<never> | { onStatus(f: (status: Status) => void): unknown }): Status[] {
  const seen: Status[] = [];
  of.onStatus((status) => seen.push(status));
  return seen;
}

/** An unsigned JWT: the client does not check signatures. */
export function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.x`;
}

/** Id of a node, in the order of numbers. */
export function id(number: number): string {
  return `1760422800000-${number}.k3mq7z`;
}
