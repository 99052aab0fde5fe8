// The tail of a log, with nothing but the browser's EventSource, and what has to be written around it.

const LINES_MAX = 5_000;
const SILENCE_MAX_MS = 45_000; // three heartbeats of the node
const PAUSE_MS = 3_000;
const AWAY = 'not connected, trying again';

const element = (id) => document.getElementById(id);
const form = element('form');
const { url } = await (await fetch('/api/hub')).json();

// The form is the page's address: `?topic=logs/web&from=last=100`.
const query = new URLSearchParams(location.search);
for (const [name, value] of query) if (form.elements[name]) form.elements[name].value = value;
const topic = form.elements.topic.value;
const from = query.get('from') ?? form.elements.from.value;

/** Ids of the lines that are shown, the oldest first. */
const shown = new Set();
let source;
let cursor = '';
let heardAt = 0;

function say(words) {
  element('status').textContent = words;
}

function append(text, isGap) {
  const { scrollHeight, scrollTop, clientHeight } = document.documentElement;
  const isAtEnd = scrollHeight - scrollTop - clientHeight < 50;
  const row = Object.assign(document.createElement('li'), { textContent: text, className: isGap ? 'gap' : 'line' });
  element('lines').append(row);
  if (element('lines').childElementCount > LINES_MAX) element('lines').firstElementChild.remove();
  if (isAtEnd) row.scrollIntoView();
}

function hear({ lastEventId }) {
  heardAt = Date.now();
  cursor = lastEventId;
}

function showLine(event) {
  hear(event);
  // Sent twice by `ship`, which did not know whether the first one had arrived.
  if (shown.has(cursor)) return;
  shown.add(cursor);
  if (shown.size > LINES_MAX) shown.delete(shown.values().next().value);
  append(event.data);
}

const REASONS = {
  evicted: 'the node keeps no lines that old',
  unknown: 'the node has started anew',
  lagged: 'this tab was too slow',
};

function showGap(event) {
  hear(event);
  append(`some lines are missing here: ${REASONS[JSON.parse(event.data).reason]}`, true);
}

function connect() {
  // `last=100` or `since=10m`. When the stream goes on, its cursor wins over both.
  const address = new URL(`events?${from}`, url);
  address.searchParams.set('topic', topic);
  address.searchParams.set('heartbeat', 'event');
  if (cursor) address.searchParams.set('last_event_id', cursor);
  heardAt = Date.now();
  source?.close();
  source = new EventSource(address);
  source.onopen = () => say('live');
  source.onmessage = showLine;
  source.addEventListener('gap', showGap);
  source.addEventListener('heartbeat', hear);
  source.onerror = () => {
    say(AWAY);
    // Otherwise it comes back by itself, with its cursor.
    if (source.readyState === EventSource.CLOSED) void askWhy(address);
  };
}

/** An EventSource that gave up does not tell the answer that it got. */
async function askWhy(address) {
  const abort = new AbortController();
  try {
    const answer = await fetch(address, { signal: abort.signal });
    if (answer.status >= 400 && answer.status < 500) {
      const problem = await answer.json();
      clearInterval(watch);
      return say(`refused: ${problem.detail}`);
    }
  } catch {
    // There is no answer now, either.
  } finally {
    abort.abort();
  }
  setTimeout(connect, PAUSE_MS);
}

/** Nor does it notice a line that is dead. */
const watch = setInterval(() => {
  if (Date.now() - heardAt < SILENCE_MAX_MS) return;
  say(AWAY);
  connect();
}, 1_000);

connect();
