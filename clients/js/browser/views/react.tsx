/**
 * A page in React as an application has it: drawn on the server, hydrated, and with views that come and
 * go. The test draws it by `window.app`.
 */
import { Activity, StrictMode, useState } from 'react';
import { flushSync } from 'react-dom';
import { hydrateRoot } from 'react-dom/client';
import { FantailProvider, useEvents, useLatest, useLive, useStatus } from '../../src/react/index.ts';
import { client, loadStock, shown, type PageOfViews, type Shop, type Stock, type View } from './shop.ts';

/** The stock: loaded, and kept by events. */
function Warehouse() {
  const { state, stale } = useLive<Stock, Shop>({
    topics: 'stock',
    load: loadStock,
    apply: (stock, event) => (event.name === 'stock' ? { ...stock, ...event.data } : stock),
  });
  return <p id="stock">{`${shown(state)} ${stale ? 'stale' : 'fresh'}`}</p>;
}

/** The last news of a room, and how many there were. */
function Room({ room }: { room: string }) {
  const [count, setCount] = useState(0);
  const latest = useLatest<Shop, 'message', string>(room, { initial: '-' });
  useEvents<Shop>(room, { message: () => setCount((before) => before + 1) });
  return <p id="room">{`${room}: ${latest} (${count})`}</p>;
}

let draw: (view: View) => void = () => {};

export function App() {
  const [{ key, visible, mounted, room }, setView] = useState<View>({ key: 0, visible: true, mounted: true, room: 'a' });
  const { state } = useStatus();
  draw = (view) => flushSync(() => setView(view));
  return (
    <main>
      <p id="status">{state}</p>
      <Activity mode={visible ? 'visible' : 'hidden'}>
        {mounted && <Warehouse key={`stock ${key}`} />}
        {mounted && <Room key={`room ${key}`} room={room} />}
      </Activity>
    </main>
  );
}

/** What is drawn on the server is this, too: it has to be the same. */
export function Page() {
  return (
    <StrictMode>
      <FantailProvider client={client}>
        <App />
      </FantailProvider>
    </StrictMode>
  );
}

export function hydrate(): void {
  const complaints: string[] = [];
  const root = hydrateRoot(document.getElementById('root') as HTMLElement, <Page />, {
    onRecoverableError: (error) => complaints.push(String(error)),
  });
  Object.assign(window, { app: { complaints, draw: (view) => draw(view), end: () => root.unmount() } satisfies PageOfViews });
}
