import { describe, expect, expectTypeOf, it } from 'vitest';
import { createClient, json, type AnyEvent, type Client, type Event, type Gap, type GapEvent, type Live, type StandardSchema } from '../src/index.ts';

interface Order {
  order: number;
}

const url = 'http://127.0.0.1:1/';

describe('types', () => {
  it('infer the events from the decoders', () => {
    const schema = {} as StandardSchema<{ name: string }>;
    const client = createClient({ url, events: { created: json<Order>(), joined: schema, count: Number } });
    expectTypeOf(client).toEqualTypeOf<Client<{ created: Order; joined: { name: string }; count: number } & { message: string }>>();
    () =>
      client.subscribe('a', {
        created(data, event) {
          expectTypeOf(data).toEqualTypeOf<Order>();
          expectTypeOf(event.name).toEqualTypeOf<'created'>();
        },
        joined: (data) => expectTypeOf(data).toEqualTypeOf<{ name: string }>(),
        count: (data) => expectTypeOf(data).toEqualTypeOf<number>(),
        message: (data) => expectTypeOf(data).toEqualTypeOf<string>(),
        gap: (gap) => expectTypeOf(gap).toEqualTypeOf<Gap>(),
      });
    // @ts-expect-error: there is no such event
    () => client.subscribe('a', { creatd() {} });
    expect(client.status.state).toBe('idle');
  });

  it('are text for `message` unless a decoder says otherwise', () => {
    () => createClient({ url }).subscribe('a', { message: (data) => expectTypeOf(data).toEqualTypeOf<string>() });
    () =>
      createClient({ url, events: { message: json<Order>() } }).subscribe('a', {
        message: (data) => expectTypeOf(data).toEqualTypeOf<Order>(),
      });
    () => createClient<{ created: Order }>({ url }).subscribe('a', { created: (data) => expectTypeOf(data).toEqualTypeOf<Order>() });
  });

  it('narrow the events of an iterator by their names', () => {
    const client = createClient({ url, events: { created: json<Order>() } });
    async () => {
      for await (const event of client.events('a')) {
        if (event.name === 'gap') expectTypeOf(event).toEqualTypeOf<GapEvent>();
        else if (event.name === 'created') expectTypeOf(event.data).toEqualTypeOf<Order>();
        else expectTypeOf(event.data).toEqualTypeOf<string>();
      }
    };
    type M = { created: Order; message: string };
    expectTypeOf<AnyEvent<M>>().toEqualTypeOf<Event<M, 'created'> | Event<M, 'message'>>();
  });

  it('infer the state of a live store from its load, with or without a cursor', () => {
    const client = createClient({ url, events: { created: json<Order>() } });
    const plain = client.live({
      topics: 'a',
      load: async (): Promise<Order[]> => [],
      apply: (state, event) => (event.name === 'created' ? [...state, event.data] : state),
    });
    expectTypeOf(plain.getSnapshot()).toEqualTypeOf<Live<Order[]>>();
    const withCursor = client.live<Order[]>({
      topics: 'a',
      load: async () => ({ state: [], cursor: '1' }),
      apply: (state) => state,
    });
    expectTypeOf(withCursor.getSnapshot().state).toEqualTypeOf<Order[] | undefined>();
  });

  it('refuse an option that is undefined, and a token of another kind', () => {
    // @ts-expect-error: exactOptionalPropertyTypes
    () => createClient({ url, idle: undefined });
    // @ts-expect-error: a number is no token
    () => createClient({ url, token: 7 });
    () => createClient({ url, token: async (why, signal) => (why === 'first' && signal.aborted ? null : 'T') });
  });
});
