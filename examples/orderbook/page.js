// The book is loaded once, and again after every gap. Between, each event sets one of its levels.
import { createClient, json } from '@fantail/client';

// A tab that is so far behind loads the book again: what it has not read yet is older than that.
const BEHIND_MAX_MS = 3_000;
const SLOW_MS = 0.5;

const element = (id) => document.getElementById(id);
const { url, topic } = await (await fetch('/api/hub')).json();
const client = createClient({ url, events: { level: json() } });
const counts = { applied: 0, loads: 0, gaps: 0 };
let isSlow = false;

async function load(signal) {
  const answer = await fetch('/api/book', { signal });
  if (!answer.ok) throw new Error(`the book cannot be loaded: ${answer.status}`);
  const { bids, asks, change, cursor } = await answer.json();
  counts.loads++;
  // Events up to the cursor are in this book, and are not applied to it.
  return { state: { bids: new Map(bids), asks: new Map(asks), change }, cursor };
}

function apply(book, { name, data, at }) {
  if (name !== 'level') return book;
  const [side, price, size, change] = data;
  if (size) book[side].set(price, size);
  else book[side].delete(price);
  counts.applied++;
  if (isSlow) beBusy(SLOW_MS);
  if (isBehind(at)) live.reload();
  // Another object says that something changed. The levels are not copied: only this page has them.
  return { ...book, change };
}

const live = client.live({ topics: topic, load, apply, queue: 100_000 });

// The shortest time from the node to here, and the difference of both clocks.
let shortest = Infinity;
let behind = 0;

function isBehind(at) {
  const time = Date.now() - at;
  shortest = Math.min(shortest, time);
  behind = time - shortest;
  return behind > BEHIND_MAX_MS;
}

function beBusy(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

// Counts gaps, by the stream that the page has anyway.
client.subscribe(topic, { gap: () => counts.gaps++ });

// Drawn once a frame, however many changes came since the last one.
let isDue = false;
live.subscribe(() => {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(draw);
});

function draw() {
  isDue = false;
  const { state, stale, status, error } = live.getSnapshot();
  element('status').textContent = error ? error.message : stale ? `not up to date: ${status.state}` : 'live';
  element('status').ariaBusy = stale;
  if (!state) return;
  fill('bids', [...state.bids].sort(([one], [other]) => other - one));
  fill('asks', [...state.asks].sort(([one], [other]) => one - other));
  element('change').textContent = state.change;
  element('behind').textContent = `${(behind / 1_000).toFixed(1)} s`;
  for (const [name, count] of Object.entries(counts)) element(name).textContent = count;
}

function fill(side, levels) {
  const body = document.createElement('tbody');
  for (const level of levels) {
    const row = body.insertRow();
    for (const number of level) row.insertCell().textContent = number;
  }
  element(side).replaceChildren(...body.rows);
}

element('slow').onchange = ({ target }) => (isSlow = target.checked);

for (const running of [true, false]) {
  element(running ? 'start' : 'stop').onclick = () =>
    fetch('/api/running', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(running),
    });
}
