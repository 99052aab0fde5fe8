/**
 * A client of a fake node. It ends with the test.
 */
import { createClient, json, type Client, type ClientOptions } from '../../src/index.ts';
import { createFakeNode, type FakeNode } from '../../src/testing/index.ts';
import { atEnd } from './setup.ts';

export interface Shop {
  price: number;
  message: string;
}

export function fake(
  options: Partial<ClientOptions<Shop>> = {},
  node: FakeNode = createFakeNode(),
): { node: FakeNode; client: Client<Shop> } {
  const client = createClient<Shop>({
    url: node.url,
    fetch: node.fetch,
    events: { price: json<number>() },
    linger: 30,
    retry: { base: 1, max: 2 },
    ...options,
  });
  atEnd(() => client.close());
  return { node, client };
}
