/**
 * The same page in Vue: drawn on the server, hydrated, with `v-if`, topics in refs, and a scope of its
 * own. The test draws it by `window.app`.
 */
import { createSSRApp, defineComponent, effectScope, nextTick, reactive, ref, type App, type EffectScope } from 'vue';
import { fantail, useEvents, useLatest, useLive, useStatus } from '../../src/vue/index.ts';
import { client, loadStock, shown, type PageOfViews, type Shop, type Stock, type View } from './shop.ts';

const Warehouse = {
  template: `<p id="stock">{{ shown(state) }} {{ stale ? 'stale' : 'fresh' }}</p>`,
  setup() {
    const { state, stale } = useLive<Stock, Shop>({
      topics: 'stock',
      load: loadStock,
      apply: (stock, event) => (event.name === 'stock' ? { ...stock, ...event.data } : stock),
    });
    return { state, stale, shown };
  },
};

const Room = defineComponent({
  props: { room: { type: String, required: true } },
  template: `<p id="room">{{ room }}: {{ latest }} ({{ count }})</p>`,
  setup(props) {
    const count = ref(0);
    const latest = useLatest<Shop, 'message', string>(() => props.room, { initial: '-' });
    useEvents<Shop>(() => props.room, { message: () => void count.value++ });
    return { count, latest };
  },
});

/** A scope within a component ends before it: nothing of it is heard afterwards. */
const Scoped = {
  template: `<p id="scoped">{{ count }}</p>`,
  setup() {
    const count = ref(0);
    const scope: EffectScope = effectScope();
    scope.run(() => useEvents<Shop>('scoped', { message: () => void count.value++ }));
    scopes.add(scope);
    return { count };
  },
};

/** Scopes that the test ends. */
const scopes = new Set<EffectScope>();

export function createPage(): { app: App; view: View } {
  const view = reactive<View>({ key: 0, visible: true, mounted: true, room: 'a' });
  const app = createSSRApp({
    components: { Warehouse, Room, Scoped },
    template: `<main>
      <p id="status">{{ status.state }}</p>
      <template v-if="view.visible && view.mounted">
        <Warehouse :key="'stock ' + view.key" />
        <Room :key="'room ' + view.key" :room="view.room" />
      </template>
      <Scoped />
    </main>`,
    setup: () => ({ view, status: useStatus() }),
  });
  return { app: app.use(fantail(client)), view };
}

export function hydrate(): void {
  const { app, view } = createPage();
  const complaints: string[] = [];
  app.config.warnHandler = (text) => void complaints.push(text);
  app.config.errorHandler = (error) => void complaints.push(String(error));
  app.mount('#root');
  const page: PageOfViews = {
    complaints,
    async draw(changed) {
      Object.assign(view, changed);
      await nextTick();
    },
    end: () => app.unmount(),
  };
  Object.assign(window, { app: page, endScopes: () => scopes.forEach((scope) => scope.stop()) });
}
