import {
  createApp,
  createSSRApp,
  effectScope,
  h,
  onMounted,
  reactive,
  ref,
  shallowRef,
  version,
  type App,
  type EffectScope,
} from 'vue';
import { renderToString } from 'vue/server-renderer';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Client, Handlers, LiveOptions } from '../../src/index.ts';
import { createFakeNode } from '../../src/testing/index.ts';
import { fantail, useClient, useEvents, useLatest, useLive, useStatus } from '../../src/vue/index.ts';
import { fake, type Shop } from '../support/fake.ts';
import { until } from '../support/server.ts';
import { atEnd } from '../support/setup.ts';

beforeEach(() => {
  const warnings = [vi.spyOn(console, 'error'), vi.spyOn(console, 'warn')];
  atEnd(() => warnings.forEach((warning) => expect(warning.mock.calls).toEqual([])));
});

type Draw = () => unknown;

/** A page with a client; `setup` returns what is drawn. */
function page(client: Client<Shop>, setup: () => Draw) {
  const box = document.createElement('div');
  const app: App = createApp({ setup: () => setup() as () => string });
  app.use(fantail(client)).mount(box);
  let mounted = true;
  const unmount = () => {
    if (mounted) app.unmount();
    mounted = false;
  };
  atEnd(unmount);
  return { text: () => box.textContent, unmount };
}

function sum(load: () => Promise<number>, topics: string | string[] = 'a', factor = 1): LiveOptions<number, Shop> {
  return { topics, load, apply: (state, event) => (event.name === 'price' ? state + event.data * factor : state) };
}

/** What a view of a sum draws. */
function drawn({ state, stale, error, status }: ReturnType<typeof useLive<number, Shop>>): Draw {
  return () => `${state.value} ${stale.value ? 'stale' : 'fresh'} ${status.value.state}${error.value ? ` ${String(error.value)}` : ''}`;
}

describe(`Vue ${version}`, () => {
  it('connects after the mount, once for 50 of `v-if`, and ends the stream after the last', async () => {
    const { node, client } = fake({ linger: 60 });
    const shown = ref(0);
    let mounts = 0;
    const Child = {
      setup() {
        useEvents<Shop>('a', {});
        useLive(sum(async () => 1));
        expect(client.status.state === 'idle' || mounts > 0).toBe(true);
        onMounted(() => mounts++);
        return () => 'child';
      },
    };
    const { unmount } = page(client, () => () => [h(Child, { key: shown.value }), shown.value % 2 ? h(Child) : null]);
    for (let count = 1; count <= 50; count++) {
      const before = mounts;
      shown.value = count;
      await until(() => mounts > before);
    }
    await until(() => client.status.state === 'open');
    expect(node.requests).toHaveLength(1);
    unmount();
    await until(() => node.streams.length === 0);
    expect(client.status).toEqual({ state: 'idle' });
    expect(node.requests).toHaveLength(1);
  });

  it('makes no request on a server, and hydrates without a warning', async () => {
    const { node, client } = fake();
    const listen = vi.spyOn(client, 'onStatus');
    const root = {
      setup() {
        useEvents<Shop>(() => ['a'], { price() {} });
        const live = useLive(() => sum(async () => 7));
        const latest = useLatest<Shop, 'price', number>('a', { event: 'price', initial: 1 });
        const status = useStatus();
        return () => h('p', `${live.state.value} ${live.loading.value} ${latest.value} ${status.value.state}`);
      },
    };
    const html = await renderToString(createSSRApp(root).use(fantail(client)));
    expect(html).toBe('<p>undefined false 1 idle</p>');
    await node.settled();
    expect(node.requests).toHaveLength(0);
    expect(listen).not.toHaveBeenCalled();
    const box = document.createElement('div');
    box.innerHTML = html;
    const app = createSSRApp(root).use(fantail(client));
    app.mount(box);
    atEnd(() => app.unmount());
    await until(() => box.textContent === '7 false 1 open');
    expect(node.requests).toHaveLength(1);
  });

  it('follows topics of a ref, a reactive list and a getter, from the cursor on', async () => {
    const { node, client } = fake();
    const topic = ref('a');
    const list = reactive(['c']);
    const seen: string[] = [];
    const handlers = { message: (data: string, { topic: of }: { topic: string }) => void seen.push(`${of} ${data}`) };
    page(client, () => {
      useEvents<Shop>(topic, handlers);
      useEvents<Shop>(list, handlers);
      useEvents<Shop>(() => `${topic.value}/x`, handlers);
      return () => '';
    });
    await node.stream();
    for (const each of ['a', 'c', 'a/x']) node.publish(each, '1');
    await until(() => seen.length === 3);
    topic.value = 'b';
    list.push('d');
    await until(() => node.requests.length === 2 && node.streams.length === 1 && client.status.state === 'open');
    expect([...(node.requests[1]?.topics ?? [])].sort()).toEqual(['b', 'b/x', 'c', 'd']);
    expect(node.requests[1]?.cursor).toBeDefined();
    for (const each of ['a', 'a/x', 'b', 'b/x', 'c', 'd']) node.publish(each, '2');
    await until(() => seen.length === 7);
    expect(seen.slice(3)).toEqual(['b 2', 'b/x 2', 'c 2', 'd 2']);
  });

  it('calls the handlers that a ref holds now', async () => {
    const { node, client } = fake();
    const seen: unknown[] = [];
    const handlers = shallowRef<Handlers<Shop>>({ price: (data) => seen.push(['first', data]) });
    page(client, () => {
      useEvents<Shop>('a', handlers);
      return () => '';
    });
    await node.stream();
    node.publish('a', 1, { event: 'price' });
    await until(() => seen.length === 1);
    handlers.value = { message: (data) => seen.push(['second', data]) };
    await Promise.resolve();
    node.publish('a', 2, { event: 'price' });
    node.publish('a', 'text');
    await until(() => seen.length === 2);
    expect(seen).toEqual([['first', 1], ['second', 'text']]);
    expect(node.requests).toHaveLength(1);
  });

  it('subscribes to nothing while `enabled` is false', async () => {
    const { node, client } = fake({ linger: 0 });
    const enabled = ref(false);
    page(client, () => {
      useEvents<Shop>('a', {}, { enabled });
      return () => '';
    });
    expect(client.status.state).toBe('idle');
    await node.settled();
    expect(node.requests).toHaveLength(0);
    enabled.value = true;
    await until(() => node.streams.length === 1);
    enabled.value = false;
    await until(() => node.streams.length === 0);
  });

  it('ends with the scope that made it, before its component', async () => {
    const { node, client } = fake({ linger: 0 });
    let scope!: EffectScope;
    const { text } = page(client, () => {
      scope = effectScope();
      scope.run(() => {
        useEvents<Shop>('a', {});
        useLive(sum(async () => 1, 'b'));
        useLatest<Shop>('c');
      });
      const status = useStatus();
      return () => status.value.state;
    });
    await until(() => text() === 'open');
    expect([...(node.requests[0]?.topics ?? [])].sort()).toEqual(['a', 'b', 'c']);
    scope.stop();
    await until(() => text() === 'idle');
    expect(node.streams).toHaveLength(0);
  });

  it('shows the right state after a gap, by the functions that it has now', async () => {
    const { node, client } = fake();
    const first = vi.fn(async () => 1);
    const second = vi.fn(async () => 50);
    const options = shallowRef<LiveOptions<number, Shop> | null>(sum(first));
    const { text } = page(client, () => drawn(useLive(options)));
    await until(() => text() === '1 fresh open');
    node.publish('a', 2, { event: 'price' });
    await until(() => text() === '3 fresh open');
    options.value = sum(second, ['a'], 10);
    await Promise.resolve();
    node.publish('a', 2, { event: 'price' });
    await until(() => text() === '23 fresh open');
    expect(second).not.toHaveBeenCalled();
    node.gap();
    node.publish('a', 1, { event: 'price' });
    await until(() => text() === '60 fresh open');
    expect(first).toHaveBeenCalledTimes(1);
    expect(second).toHaveBeenCalledTimes(1);
  });

  it('begins another state with other topics, and none with null', async () => {
    const { node, client } = fake();
    const topic = ref<string | null>(null);
    let answer: (value: number) => void = () => {};
    const load = () => new Promise<number>((resolve) => (answer = resolve));
    const { text } = page(client, () =>
      drawn(useLive(() => (topic.value === null ? null : sum(topic.value === 'a' ? async () => 1 : load, topic.value)))),
    );
    await until(() => text() === 'undefined stale idle');
    expect(client.status.state).toBe('idle');
    topic.value = 'a';
    await until(() => text() === '1 fresh open');
    topic.value = 'b';
    await until(() => text() === 'undefined stale open');
    node.publish('a', 100, { event: 'price' });
    node.publish('b', 5, { event: 'price' });
    await node.settled();
    answer(2);
    await until(() => text() === '7 fresh open');
    topic.value = null;
    await until(() => text() === 'undefined stale idle');
    await until(() => node.streams.length === 0);
  });

  it('shows why a load failed, and loads again by `reload`', async () => {
    const { client } = fake({ retry: { base: 1, max: 1 } });
    const load = vi.fn(async () => 4).mockRejectedValueOnce(new Error('500'));
    const seen = new Set<string | null>();
    let reload = (): void => {};
    const { text } = page(client, () => {
      const live = useLive(sum(load));
      reload = live.reload;
      return () => {
        const now = String(drawn(live)());
        seen.add(now);
        return now;
      };
    });
    await until(() => text() === '4 fresh open');
    expect([...seen]).toContain('undefined stale open Error: 500');
    load.mockResolvedValueOnce(5);
    reload();
    await until(() => text() === '5 fresh open');
  });

  it('does not make the state itself reactive', async () => {
    const { client } = fake();
    const state = { deep: { price: 1 } };
    let live!: ReturnType<typeof useLive<typeof state, Shop>>;
    page(client, () => {
      live = useLive<typeof state, Shop>({ topics: 'a', load: async () => state, apply: (same) => same });
      return () => '';
    });
    await until(() => live.state.value);
    expect(live.state.value).toBe(state);
  });

  it('shows the latest data of one topic, and nothing of the one before', async () => {
    const { node, client } = fake();
    const topic = ref('a');
    const event = ref<'price' | 'message'>('price');
    const { text } = page(client, () => {
      const latest = useLatest<Shop, 'price' | 'message', number>(topic, { event, initial: 0 });
      return () => String(latest.value);
    });
    expect(text()).toBe('0');
    await node.stream();
    for (const data of [1, 2, 2]) node.publish('a', data, { event: 'price' });
    node.publish('a', 'not a price');
    await until(() => text() === '2');
    topic.value = 'b';
    await until(() => text() === '0');
    await until(() => node.requests.length === 2 && client.status.state === 'open');
    node.publish('a', 9, { event: 'price' });
    node.publish('b', 4, { event: 'price' });
    await until(() => text() === '4');
    event.value = 'message';
    await until(() => text() === '0');
    node.publish('b', 5, { event: 'price' });
    node.publish('b', 'text');
    await until(() => text() === 'text');
  });

  it('shows the status, and stops with its component', async () => {
    const { node, client } = fake({}, createFakeNode({ prime: 'manual' }));
    const stop = vi.fn();
    const onStatus = client.onStatus;
    vi.spyOn(client, 'onStatus').mockImplementation((listener) => {
      const end = onStatus(listener);
      return () => {
        stop();
        end();
      };
    });
    client.subscribe('b', { error() {} });
    const { text, unmount } = page(client, () => {
      const status = useStatus();
      return () => status.value.state;
    });
    await until(() => text() === 'connecting');
    (await node.stream()).prime();
    await until(() => text() === 'open');
    node.refuse(403);
    node.cut();
    await until(() => text() === 'closed');
    unmount();
    expect(stop).toHaveBeenCalledTimes(1);
  });

  it('says that the plugin is missing', () => {
    const app = createApp({
      setup() {
        useClient();
        return () => '';
      },
    });
    app.config.warnHandler = () => {};
    expect(() => app.mount(document.createElement('div'))).toThrow('no client: call app.use(fantail(client)) first');
  });

  it('takes a client that is closed', async () => {
    const { client } = fake();
    client.close();
    const { text } = page(client, () => {
      useEvents<Shop>('a', {});
      return drawn(useLive(sum(async () => 1)));
    });
    await until(() => text() === 'undefined stale closed');
  });
});
