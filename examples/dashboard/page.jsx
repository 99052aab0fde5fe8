import { createClient, json } from '@fantail/client';
import { FantailProvider, useLatest, useLive, useStatus } from '@fantail/client/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const { url } = await (await fetch('/api/hub')).json();
// All tabs share one stream: a browser has no more than six connections to a host.
const client = createClient({ url, events: { message: json() }, share: 'shop' });

async function loadOrders(signal) {
  const answer = await fetch('/api/orders', { signal });
  if (!answer.ok) throw new Error(`the orders cannot be loaded: ${answer.status}`);
  return new Map((await answer.json()).map((order) => [order.id, order]));
}

/** All orders: loaded once the stream is open, kept by its events, and loaded again after a gap. */
const ORDERS = {
  topics: 'dashboard/orders',
  load: loadOrders,
  // It sets and does not count, so an event that the loaded state has already does no harm.
  apply: (orders, { data: order }) => new Map(orders).set(order.id, order),
};

const STEPS = { placed: 'pay', paid: 'ship' };

async function post(path) {
  const answer = await fetch(path, { method: 'POST' });
  if (!answer.ok) throw new Error((await answer.json()).error);
}

function Orders() {
  const { state: orders = new Map(), stale } = useLive(ORDERS);
  const [problem, setProblem] = useState('');
  // What the order has become is not taken from the answer: the event says it to all tabs.
  const act = (path) => () => post(path).then(() => setProblem(''), ({ message }) => setProblem(message));
  const newestFirst = [...orders.values()].reverse();
  const revenue = newestFirst.reduce((sum, { euros, state }) => (state === 'placed' ? sum : sum + euros), 0);
  return (
    <section aria-busy={stale}>
      <dl>
        <dt>Orders</dt>
        <dd data-testid="count">{orders.size}</dd>
        <dt>Revenue</dt>
        <dd data-testid="revenue">{revenue} €</dd>
        <dt>Visitors</dt>
        <dd data-testid="visitors">
          <Visitors />
        </dd>
      </dl>
      <button onClick={act('/api/orders')}>Place an order</button>
      <p role="alert">{problem}</p>
      <table>
        <tbody>
          {newestFirst.map(({ id, goods, euros, state }) => (
            <tr key={id}>
              <td>{id}</td>
              <td>{goods}</td>
              <td>{euros} €</td>
              <td>{state}</td>
              <td>{STEPS[state] && <button onClick={act(`/api/orders/${id}/next`)}>{STEPS[state]}</button>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Drawn anew ten times a second, without the table. */
function Visitors() {
  return useLatest('dashboard/visitors', { initial: '…' });
}

const WORDS = {
  idle: 'connecting',
  connecting: 'connecting',
  open: 'live',
  waiting: 'not connected, trying again',
  closed: 'not connected',
};

function Connection() {
  const { state } = useStatus();
  return <p role="status">{WORDS[state]}</p>;
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <FantailProvider client={client}>
      <h1>Shop</h1>
      <Connection />
      <Orders />
    </FantailProvider>
  </StrictMode>,
);
