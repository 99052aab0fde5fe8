import { createClient, json } from '@fantail/client';
import { FantailProvider, useClient, useEvents, useLive, useStatus } from '@fantail/client/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const me = await (await fetch('/api/me')).json();
const hubUrl = new URL('.well-known/mercure', me.url);
const LINES_MAX = 200;

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  // Left in another tab, or the server has forgotten everyone: back to the door.
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

const fetchToken = () => post('/api/token').then((answer) => answer.text());

/** The streams of one who has entered: what is said, by the node's own API, and who is here, by its Mercure hub. */
function openStreams() {
  const said = createClient({ url: me.url, token: fetchToken, from: 'earliest' });
  const hub = createClient({ url: hubUrl, token: fetchToken, events: { message: json() }, idle: 45_000 });
  return { said, hub };
}

/** Who is here: the list of subscriptions to the room, kept by the events that report their starts and ends. */
const PRESENCE = {
  // The first makes this page one of those who are here; the second hears of the others.
  topics: ['rooms/lobby', '/.well-known/mercure/subscriptions/rooms%2Flobby/{subscriber}'],
  async load(signal) {
    const headers = { Authorization: `Bearer ${await fetchToken()}` };
    const answer = await fetch(`${hubUrl}/subscriptions/rooms%2Flobby`, { headers, signal });
    if (!answer.ok) throw new Error(`the list cannot be loaded: ${answer.status}`);
    const { subscriptions, lastEventID } = await answer.json();
    return { state: new Map(subscriptions.map(({ id, payload }) => [id, payload.name])), cursor: lastEventID };
  },
  apply(here, { data: { id, active, payload } }) {
    const next = new Map(here);
    return active ? next.set(id, payload.name) : (next.delete(id), next);
  },
};

function Here() {
  const { state = new Map() } = useLive(PRESENCE);
  // Each tab is a subscription, and a person may have several.
  const names = [...new Set(state.values())].sort();
  return <ul aria-label="Here">{names.map((name) => <li key={name}>{name}</li>)}</ul>;
}

function Said() {
  const [lines, setLines] = useState([]);
  // Each line once: after a gap, the node sends all that it has. Who has heard nothing yet misses nothing.
  const isNew = (all, { id, name }) => (name || all.length) && !all.some((line) => line.id === id);
  const add = (line) => setLines((all) => (isNew(all, line) ? [...all, line].slice(-LINES_MAX) : all));
  useEvents('rooms/lobby/*', {
    said: (text, { id, topic, at }) => add({ id, text, at, name: topic.split('/').at(-1) }),
    gap: ({ to }) => add({ id: `gap ${to}`, text: 'Some of what was said is missing here.' }),
  });
  return (
    <ol aria-label="Said">
      {lines.map(({ id, name, text, at }) => (
        <li key={id} ref={(line) => line?.scrollIntoView({ block: 'nearest' })}>
          {name && <b title={new Date(at).toLocaleTimeString()}>{name}: </b>}
          {text}
        </li>
      ))}
    </ol>
  );
}

const WORDS = { idle: 'connecting', connecting: 'connecting', open: 'live', waiting: 'no connection, trying again' };

function Talk({ name, leave }) {
  const client = useClient();
  const { state } = useStatus();
  const [text, setText] = useState('');
  const [problem, setProblem] = useState('');
  async function say(event) {
    event.preventDefault();
    try {
      await client.publish(`rooms/lobby/${name}`, text, { event: 'said', private: true });
      setText('');
      setProblem('');
    } catch ({ message }) {
      setProblem(`Not said: ${message}`);
    }
  }
  return (
    <form onSubmit={say}>
      <input aria-label="Say" value={text} onChange={({ target }) => setText(target.value)} required autoFocus />
      <button>Say</button> <button type="button" onClick={() => leave().catch((error) => setProblem(error.message))}>Leave</button>
      <p role="status">{WORDS[state] ?? 'not connected'}</p>
      <p role="alert">{problem}</p>
    </form>
  );
}

function Door({ enter }) {
  const [name, setName] = useState('');
  const [problem, setProblem] = useState('');
  function knock(event) {
    event.preventDefault();
    const entered = post('/api/enter', { name }).then((answer) => answer.json());
    entered.then(enter, ({ message }) => setProblem(message));
  }
  return (
    <form onSubmit={knock}>
      <input aria-label="Name" value={name} onChange={({ target }) => setName(target.value)} required autoFocus />
      <button>Enter</button>
      <p role="alert">{problem}</p>
    </form>
  );
}

const inside = (name) => name && { name, ...openStreams() };

function Room() {
  const [entered, setEntered] = useState(() => inside(me.name));
  if (!entered) return <Door enter={({ name }) => setEntered(inside(name))} />;
  const { name, said, hub } = entered;
  async function leave() {
    await post('/api/leave');
    [said, hub].forEach((client) => client.close());
    setEntered(null);
  }
  return (
    <FantailProvider client={said}>
      <FantailProvider client={hub}>
        <Here />
      </FantailProvider>
      <Said />
      <Talk name={name} leave={leave} />
    </FantailProvider>
  );
}

createRoot(document.getElementById('root')).render(<StrictMode><Room /></StrictMode>);
