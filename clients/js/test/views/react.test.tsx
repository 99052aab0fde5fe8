import * as React from 'react';
import { StrictMode, useEffect, useLayoutEffect, useState, version, type ComponentType, type ReactNode } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';
import type { Client, Handlers } from '../../src/index.ts';
import { FantailProvider, useClient, useEvents, useLatest, useLive, useStatus } from '../../src/react/index.ts';
import { createFakeNode } from '../../src/testing/index.ts';
import { fake, type Shop } from '../support/fake.ts';
import { until } from '../support/server.ts';
import { atEnd } from '../support/setup.ts';

/** Of React 19.2 and later. */
const { Activity } = React as { Activity?: ComponentType<{ mode: 'visible' | 'hidden'; children: ReactNode }> };

let errors: MockInstance<(...values: unknown[]) => void>;

/** Times that the effects of `Events` or `Sum` have run. */
let effects = 0;

/** Times that they have been undone. */
let undone = 0;

/** For `useEffect`. */
function counted(): () => void {
  effects++;
  return () => void undone++;
}

/** Draws, and waits until the effects of it have run. */
async function drawn(draw: () => void): Promise<void> {
  const before = effects;
  draw();
  await until(() => effects > before);
}

beforeEach(() => {
  effects = 0;
  errors = vi.spyOn(console, 'error');
  atEnd(() => expect(errors.mock.calls).toEqual([]));
});

/** A page with a client. */
function page(client: Client<Shop>) {
  const box = document.createElement('div');
  const root: Root = createRoot(box);
  atEnd(() => root.unmount());
  return {
    box,
    root,
    draw: (node: ReactNode) => root.render(<FantailProvider client={client}>{node}</FantailProvider>),
    text: () => box.textContent,
  };
}

function Events(props: { topics: string | string[]; handlers: Handlers<Shop>; enabled?: boolean }) {
  useEvents<Shop>(props.topics, props.handlers, props.enabled === undefined ? {} : { enabled: props.enabled });
  useEffect(counted);
  return null;
}

function Latest({ topic }: { topic: string }) {
  return <>{useLatest<Shop, 'price', number>(topic, { event: 'price', initial: 0 })}</>;
}

/** A sum that a server keeps, and events that add to it. */
function Sum(props: { topics: string | null; load: () => Promise<number>; factor?: number }) {
  const { state, stale, error, status } = useLive<number, Shop>(
    props.topics === null
      ? null
      : {
          topics: props.topics,
          load: props.load,
          apply: (sum, event) => (event.name === 'price' ? sum + event.data * (props.factor ?? 1) : sum),
        },
  );
  useEffect(counted);
  return <>{`${state} ${stale ? 'stale' : 'fresh'} ${status.state}${error ? ` ${String(error)}` : ''}`}</>;
}

function Status() {
  return <>{useStatus().state}</>;
}

describe(`React ${version}`, () => {
  it('connects once for StrictMode and 50 mounts, and ends the stream after the last', async () => {
    const { node, client } = fake({ linger: 60 });
    const { draw, root } = page(client);
    for (let count = 0; count < 50; count++) {
      await drawn(() =>
        draw(
          <StrictMode>
            <Events key={count} topics="a" handlers={{}} />
            <Sum key={`s${count}`} topics="a" load={async () => 1} />
          </StrictMode>,
        ),
      );
    }
    await until(() => client.status.state === 'open');
    expect(node.requests).toHaveLength(1);
    root.unmount();
    await until(() => node.streams.length === 0);
    expect(client.status).toEqual({ state: 'idle' });
    expect(node.requests).toHaveLength(1);
  });

  it.skipIf(!Activity)('keeps the stream while an Activity is hidden for a moment, and goes on with the state', async () => {
    const Hide = Activity as NonNullable<typeof Activity>;
    const { node, client } = fake({ linger: 800 });
    const load = vi.fn(async () => 10);
    const { draw, text } = page(client);
    const show = (mode: 'visible' | 'hidden') =>
      draw(
        <StrictMode>
          <Hide mode={mode}>
            <Sum topics="a" load={load} />
            <Events topics="a" handlers={{}} />
          </Hide>
        </StrictMode>,
      );
    show('visible');
    await until(() => text() === '10 fresh open');
    const subscribe = vi.spyOn(client, 'subscribe');
    for (let count = 1; count <= 10; count++) {
      const before = undone;
      show('hidden');
      await until(() => undone > before);
      await drawn(() => show('visible'));
    }
    expect(subscribe.mock.calls.length).toBeGreaterThanOrEqual(10);
    node.publish('a', 5, { event: 'price' });
    await until(() => text() === '15 fresh open');
    expect(node.requests).toHaveLength(1);
    expect(load).toHaveBeenCalledTimes(1);
    show('hidden');
    await until(() => node.streams.length === 0);
    show('visible');
    await until(() => load.mock.calls.length === 2 && node.requests.length === 2);
    await until(() => text() === '10 fresh open');
  });

  it('makes no request on a server, and hydrates without a warning', async () => {
    const { node, client } = fake();
    const initial = { price: 1 };
    const App = () => {
      useEvents<Shop>('a', { price() {} });
      const live = useLive<number, Shop>({ topics: 'a', load: async () => 7, apply: (state) => state });
      const latest = useLatest<Shop, 'message', object>('a', { initial: { ...initial } });
      return <p>{`${live.state} ${live.loading} ${JSON.stringify(latest)} ${useStatus().state}`}</p>;
    };
    const tree = (
      <StrictMode>
        <FantailProvider client={client}>
          <App />
        </FantailProvider>
      </StrictMode>
    );
    const html = renderToString(tree);
    expect(html).toBe('<p>undefined false {&quot;price&quot;:1} idle</p>');
    await node.settled();
    expect(node.requests).toHaveLength(0);
    const box = document.createElement('div');
    box.innerHTML = html;
    const root = hydrateRoot(box, tree, { onRecoverableError: (error) => console.error(error) });
    atEnd(() => root.unmount());
    await until(() => box.textContent === '7 false {"price":1} open');
    expect(node.requests).toHaveLength(1);
  });

  it('hydrates while the client is open already', async () => {
    const { node, client } = fake();
    client.subscribe('b', {});
    await node.stream();
    await until(() => client.status.state === 'open');
    const tree = (
      <FantailProvider client={client}>
        <Status />
      </FantailProvider>
    );
    const box = document.createElement('div');
    box.innerHTML = renderToString(tree);
    expect(box.textContent).toBe('idle');
    const root = hydrateRoot(box, tree, { onRecoverableError: (error) => console.error(error) });
    atEnd(() => root.unmount());
    await until(() => box.textContent === 'open');
  });

  it('calls the handlers of the last render, and keeps the subscription', async () => {
    const { node, client } = fake();
    const subscribe = vi.spyOn(client, 'subscribe');
    const seen: unknown[] = [];
    const { draw } = page(client);
    draw(<Events topics={['a', 'b']} handlers={{ price: (data) => seen.push(['first', data]) }} />);
    await node.stream();
    node.publish('a', 1, { event: 'price' });
    await until(() => seen.length === 1);
    await drawn(() =>
      draw(
        <Events
          topics={['b', 'a']}
          handlers={{ price: (data, { topic }) => seen.push(['second', data, topic]), message: (data) => seen.push(data) }}
        />,
      ),
    );
    node.publish('b', 2, { event: 'price' });
    node.publish('b', 'text');
    await until(() => seen.length === 3);
    await drawn(() => draw(<Events topics={['b', 'a']} handlers={{ price: (data) => seen.push(['third', data]) }} />));
    node.publish('b', 'unheard');
    node.publish('b', 3, { event: 'price' });
    await until(() => seen.length === 4);
    expect(seen).toEqual([['first', 1], ['second', 2, 'b'], 'text', ['third', 3]]);
    expect(node.requests).toHaveLength(1);
    // One that told a new name, and was over at once.
    expect(subscribe).toHaveBeenCalledTimes(2);
  });

  it('moves to other topics from the cursor on, and mixes no topic with the handlers of another', async () => {
    const { node, client } = fake();
    const seen: string[] = [];
    const Moving = ({ topics }: { topics: string[] }) => {
      useEvents<Shop>(topics, { message: (data, { topic }) => seen.push(`${topics}: ${topic} ${data}`) });
      // Drawn, and not yet moved: what comes now is of the topics before.
      useLayoutEffect(() => {
        if (topics.includes('c')) node.publish('a', 'late');
      }, [topics]);
      return null;
    };
    const { draw } = page(client);
    draw(<Moving topics={['a', 'b']} />);
    await node.stream();
    node.publish('a', '1');
    await until(() => seen.length === 1);
    draw(<Moving topics={['b', 'c']} />);
    await until(() => node.requests.length === 2);
    node.publish('a', 'no longer wanted');
    node.publish('b', '2');
    await until(() => client.status.state === 'open' && node.streams.length === 1);
    node.publish('c', '3');
    await until(() => seen.at(-1)?.endsWith('c 3'));
    expect(seen.filter((line) => line !== 'a,b: a late')).toEqual(['a,b: a 1', 'b,c: b 2', 'b,c: c 3']);
    expect(node.requests[1]?.cursor).toBeDefined();
  });

  it('loses nothing of a topic that stays when a hub has a stream for each set of topics', async () => {
    const { node, client } = fake({ server: 'mercure', url: 'http://fantail.test/events' });
    const seen: string[] = [];
    const { draw } = page(client);
    const show = (topics: string[]) => draw(<Events topics={topics} handlers={{ message: (data) => seen.push(data) }} />);
    show(['a']);
    await node.stream();
    node.publish('a', '1');
    await until(() => seen.length === 1);
    await drawn(() => show(['a', 'b']));
    node.publish('a', '2');
    await until(() => node.requests.length === 2);
    node.publish('a', '3');
    await until(() => seen.length === 3);
    expect(seen).toEqual(['1', '2', '3']);
  });

  it('subscribes to all that the token grants by [], and back to a topic', async () => {
    const { node, client } = fake();
    const seen: string[] = [];
    const { draw } = page(client);
    const show = (topics: string[]) => draw(<Events topics={topics} handlers={{ message: (data) => seen.push(data) }} />);
    show(['a']);
    await node.stream();
    show([]);
    await until(() => node.streams.some(({ request }) => !request.topics.length));
    node.publish('z', '1');
    await until(() => seen.length === 1);
    show(['a']);
    await until(() => node.streams.every(({ request }) => String(request.topics) === 'a'));
    node.publish('z', 'no');
    node.publish('a', '2');
    await until(() => seen.length === 2);
    expect(seen).toEqual(['1', '2']);
  });

  it('subscribes to nothing while `enabled` is false', async () => {
    const { node, client } = fake({ linger: 0 });
    const { draw } = page(client);
    await drawn(() => draw(<Events topics="a" handlers={{}} enabled={false} />));
    expect(client.status.state).toBe('idle');
    await node.settled();
    expect(node.requests).toHaveLength(0);
    draw(<Events topics="a" handlers={{}} enabled />);
    await until(() => node.streams.length === 1);
    draw(<Events topics="a" handlers={{}} enabled={false} />);
    await until(() => node.streams.length === 0);
  });

  it('shows the right state after a gap, by the functions of the last render', async () => {
    const { node, client } = fake();
    const { draw, text } = page(client);
    const first = vi.fn(async () => 1);
    const second = vi.fn(async () => 50);
    draw(<Sum topics="a" load={first} />);
    await until(() => text() === '1 fresh open');
    node.publish('a', 2, { event: 'price' });
    await until(() => text() === '3 fresh open');
    await drawn(() => draw(<Sum topics="a" load={second} factor={10} />));
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
    const { draw, text } = page(client);
    draw(<Sum topics={null} load={async () => 0} />);
    await until(() => text() === 'undefined stale idle');
    expect(node.requests).toHaveLength(0);
    draw(<Sum topics="a" load={async () => 1} />);
    await until(() => text() === '1 fresh open');
    let answer: (value: number) => void = () => {};
    draw(<Sum topics="b" load={() => new Promise((resolve) => (answer = resolve))} />);
    await until(() => text() === 'undefined stale open');
    node.publish('a', 100, { event: 'price' });
    node.publish('b', 5, { event: 'price' });
    await node.settled();
    answer(2);
    await until(() => text() === '7 fresh open');
    draw(<Sum topics={null} load={async () => 0} />);
    await until(() => text() === 'undefined stale idle');
    await until(() => node.streams.length === 0);
  });

  it('calls the functions that a store had until it has ended', async () => {
    const { node, client } = fake();
    const applied: unknown[] = [];
    const load = vi.fn(async () => 1);
    const Ending = ({ on }: { on: boolean }) => {
      const { state } = useLive<number, Shop>(
        on
          ? {
              topics: 'a',
              load,
              apply(sum, event) {
                applied.push(event.data);
                return sum;
              },
            }
          : null,
      );
      useLayoutEffect(() => {
        if (on) return;
        node.publish('a', 2, { event: 'price' });
        node.gap();
      }, [on]);
      return <>{String(state)}</>;
    };
    const { draw, text } = page(client);
    draw(<Ending on />);
    await until(() => text() === '1');
    draw(<Ending on={false} />);
    await until(() => text() === 'undefined' && node.streams.length === 0);
    expect(applied).toEqual([2]);
    expect(load).toHaveBeenCalledTimes(2);
  });

  it('returns the same view until something changes, and loads again by `reload`', async () => {
    const { client } = fake();
    const views = new Set<object>();
    let answer = 1;
    let again = (): void => {};
    const View = () => {
      const [count, setCount] = useState(0);
      again = () => setCount(count + 1);
      const view = useLive<number, Shop>({ topics: ['a'], load: async () => answer, apply: (state) => state });
      views.add(view);
      return <button onClick={view.reload}>{`${view.state} ${view.stale ? 'stale' : 'fresh'} ${count}`}</button>;
    };
    const { draw, text, box } = page(client);
    draw(<View />);
    await until(() => text() === '1 fresh 0');
    const before = views.size;
    again();
    await until(() => text() === '1 fresh 1');
    expect(views.size).toBe(before);
    answer = 2;
    document.body.append(box);
    box.querySelector('button')?.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    await until(() => text() === '2 fresh 1');
  });

  it('shows why a load failed', async () => {
    const { client } = fake({ retry: { base: 1, max: 1 } });
    const load = vi.fn(async () => 4).mockRejectedValueOnce(new Error('500'));
    const { draw, box } = page(client);
    const texts: (string | null)[] = [];
    new MutationObserver(() => texts.push(box.textContent)).observe(box, { characterData: true, childList: true, subtree: true });
    draw(<Sum topics="a" load={load} />);
    await until(() => texts.at(-1) === '4 fresh open');
    expect(texts).toContain('undefined stale open Error: 500');
  });

  it('shows the latest data of one topic, and nothing of the one before', async () => {
    const { node, client } = fake();
    const { draw, text } = page(client);
    draw(<Latest topic="a" />);
    await until(() => text() === '0');
    await node.stream();
    node.publish('a', 1, { event: 'price' });
    node.publish('a', 'not a price');
    await until(() => text() === '1');
    for (const data of [2, 2, 3, 3]) node.publish('a', data, { event: 'price' });
    await until(() => text() === '3');
    draw(<Latest topic="b" />);
    await until(() => text() === '0');
    await until(() => node.requests.length === 2 && client.status.state === 'open');
    node.publish('a', 9, { event: 'price' });
    node.publish('b', 4, { event: 'price' });
    await until(() => text() === '4');
    draw(<Latest topic="a" />);
    await until(() => text() === '0');
  });

  it('shows nothing of another client, which may be another user\'s', async () => {
    const [one, other] = [fake(), fake()];
    const { root, text } = page(one.client);
    const show = (client: Client<Shop>) =>
      root.render(
        <FantailProvider client={client}>
          <Latest topic="a" />
        </FantailProvider>,
      );
    show(one.client);
    await one.node.stream();
    one.node.publish('a', 1, { event: 'price' });
    await until(() => text() === '1');
    show(other.client);
    await until(() => text() === '0');
  });

  it('shows the status, and draws no more than it changes', async () => {
    const { node, client } = fake({}, createFakeNode({ prime: 'manual' }));
    let draws = 0;
    const Drawn = () => {
      draws++;
      return <Status />;
    };
    const { draw, text } = page(client);
    draw(<Drawn />);
    await until(() => text() === 'idle');
    client.subscribe('a', {});
    // The client makes this status anew each time that it is asked.
    await until(() => text() === 'connecting');
    (await node.stream()).prime();
    await until(() => text() === 'open');
    const before = draws;
    node.heartbeat();
    await node.settled();
    expect(draws).toBe(before);
    node.refuse(403);
    node.cut();
    await until(() => text() === 'closed');
    expect(errors.mock.calls.splice(0)).toHaveLength(1);
  });

  it('says which provider is missing', () => {
    const Needs = () => <>{useClient().status.state}</>;
    expect(() => renderToString(<Needs />)).toThrow('no client: put <FantailProvider client={client}> around it');
    errors.mockClear();
  });

  it('takes another client, and one that is closed', async () => {
    const one = fake();
    const other = fake();
    const { root, text } = page(one.client);
    const show = (client: Client<Shop>) =>
      root.render(
        <FantailProvider client={client}>
          <Events topics="a" handlers={{}} />
          <Sum topics="a" load={async () => 3} />
        </FantailProvider>,
      );
    show(one.client);
    await until(() => one.node.streams.length === 1);
    show(other.client);
    await until(() => other.node.streams.length === 1 && one.node.streams.length === 0);
    await until(() => text() === '3 fresh open');
    other.client.close();
    await until(() => text() === '3 stale closed');
    show(other.client);
    one.client.close();
    show(one.client);
    await until(() => text() === 'undefined stale closed');
  });
});
