import type { Ref, ShallowRef } from 'vue';
import { describe, expectTypeOf, it } from 'vitest';
import type { Client, DefaultEvents, Event, Gap, LiveOptions, Status } from '../../src/index.ts';
import * as react from '../../src/react/index.ts';
import type { RegisteredEvents } from '../../src/views/types.ts';
import * as vue from '../../src/vue/index.ts';
import type { Shop } from '../support/fake.ts';

// Nothing here is called. What a registered client changes is compiled with the package and the README.
describe('types of the views', () => {
  it('take the event map of the registered client, and text without one', () => {
    expectTypeOf<RegisteredEvents<{ client: Client<Shop> }>>().toEqualTypeOf<Shop>();
    expectTypeOf<RegisteredEvents<object>>().toEqualTypeOf<DefaultEvents>();
    expectTypeOf<react.Registered>().toEqualTypeOf<DefaultEvents>();
    expectTypeOf<vue.Registered>().toEqualTypeOf<DefaultEvents>();
    () => expectTypeOf(react.useClient()).toEqualTypeOf<Client<DefaultEvents>>();
    () => expectTypeOf(vue.useClient<Shop>()).toEqualTypeOf<Client<Shop>>();
  });

  it('give each handler the data of its event', () => {
    () =>
      react.useEvents<Shop>('a', {
        price(data, event) {
          expectTypeOf(data).toEqualTypeOf<number>();
          expectTypeOf(event).toEqualTypeOf<Event<Shop, 'price'>>();
        },
        gap: (gap) => expectTypeOf(gap).toEqualTypeOf<Gap>(),
      });
    () => vue.useEvents<Shop>(() => ['a'], { price: (data) => expectTypeOf(data).toEqualTypeOf<number>() });
    () => vue.useEvents<Shop>('a', () => ({ message: (data) => expectTypeOf(data).toEqualTypeOf<string>() }));
    // @ts-expect-error: there is no such event
    () => react.useEvents<Shop>('a', { prise() {} });
    // @ts-expect-error: there is no such event
    () => vue.useEvents<Shop>('a', { prise() {} });
    // @ts-expect-error: not registered
    () => react.useEvents('a', { price() {} });
  });

  it('infer the state of a live view from its load', () => {
    const options: LiveOptions<number[], Shop> = { topics: 'a', load: async () => [1], apply: (state) => state };
    () => expectTypeOf(react.useLive(options)).toEqualTypeOf<react.LiveView<number[]>>();
    () => expectTypeOf(react.useLive(Math.random() > 1 ? options : null).state).toEqualTypeOf<number[] | undefined>();
    () =>
      expectTypeOf(
        react.useLive({ topics: 'a', load: async (): Promise<string[]> => [], apply: (state, event) => [...state, event.data] }).state,
      ).toEqualTypeOf<string[] | undefined>();
    () => expectTypeOf(vue.useLive(options)).toEqualTypeOf<vue.LiveRefs<number[]>>();
    () => expectTypeOf(vue.useLive(() => (Math.random() > 1 ? options : null)).state.value).toEqualTypeOf<number[] | undefined>();
    () => expectTypeOf(vue.useLive({} as Ref<typeof options | null>).state.value).toEqualTypeOf<number[] | undefined>();
    () =>
      expectTypeOf(
        vue.useLive(() => ({ topics: 'a', load: async (): Promise<string[]> => [], apply: (state, event) => [...state, event.data] })).state.value,
      ).toEqualTypeOf<string[] | undefined>();
    () => expectTypeOf(vue.useLive(options).status.value).toEqualTypeOf<Status>();
  });

  it('give the latest data, or the initial value', () => {
    () => expectTypeOf(react.useLatest('a')).toEqualTypeOf<string | undefined>();
    () => expectTypeOf(react.useLatest('a', { initial: '' })).toEqualTypeOf<string>();
    () => expectTypeOf(react.useLatest<Shop, 'price', null>('a', { event: 'price', initial: null })).toEqualTypeOf<number | null>();
    () => expectTypeOf(vue.useLatest('a')).toEqualTypeOf<Readonly<ShallowRef<string | undefined>>>();
    () => expectTypeOf(vue.useLatest(() => 'a', { initial: 0 })).toEqualTypeOf<Readonly<ShallowRef<string | number>>>();
    // @ts-expect-error: there is no such event
    () => react.useLatest('a', { event: 'price' });
  });

  it('let a switch be undefined', () => {
    () => react.useEvents('a', {}, { enabled: undefined });
    () => vue.useEvents('a', {}, { enabled: () => true });
  });
});
