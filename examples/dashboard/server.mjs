// The shop's server. It keeps the orders, and publishes what changes: one PUBLISH each, to all dashboards there are.
import { fileURLToPath } from 'node:url';
import express from 'express';
import { createClient } from 'redis';

const { PORT = '3001', FANTAIL_URL = 'http://127.0.0.1:8080/', REDIS_URL = 'redis://127.0.0.1:7379' } = process.env;

const redis = createClient({ url: REDIS_URL });
redis.on('error', (error) => console.error('publishing waits:', error.message));
await redis.connect();

const publish = (topic, data) => redis.publish(topic, JSON.stringify(data));

const GOODS = ['tea', 'coffee', 'honey', 'rye bread'];
const NEXT = { placed: 'paid', paid: 'shipped' };
const ORDERS_MAX = 100;

const orders = new Map();
let count = 0;

async function save(order) {
  orders.set(order.id, order);
  if (orders.size > ORDERS_MAX) orders.delete(orders.keys().next().value);
  await publish('dashboard/orders', order);
  return order;
}

const app = express();
app.use(express.static(fileURLToPath(new URL('public', import.meta.url))));

app.get('/api/hub', (request, response) => response.json({ url: FANTAIL_URL }));

app.get('/api/orders', (request, response) => response.json([...orders.values()]));

app.post('/api/orders', async (request, response) => {
  const id = ++count;
  const order = { id, goods: GOODS[id % GOODS.length], euros: 5 + ((id * 7) % 40), state: 'placed' };
  response.status(201).json(await save(order));
});

app.post('/api/orders/:id/next', async (request, response) => {
  const order = orders.get(Number(request.params.id));
  if (!order) return response.status(404).json({ error: 'there is no such order' });
  const state = NEXT[order.state];
  if (!state) return response.status(409).json({ error: `the order is ${order.state}` });
  response.json(await save({ ...order, state }));
});

// A value that changes all the time. Its topic has the policy `latest`: only the newest counts.
let visitors = 100;
const timer = setInterval(() => {
  visitors = Math.max(0, visitors + Math.round(Math.random() * 10 - 5));
  if (redis.isReady) void publish('dashboard/visitors', visitors).catch(() => {});
}, 100);

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`the dashboard is at http://127.0.0.1:${server.address().port}/`);
});

process.on('SIGTERM', () => {
  clearInterval(timer);
  redis.destroy();
  server.close();
  server.closeAllConnections();
});
