// Who is not signed in sees a form. Who is sees the notifications for the user, and for the user's roles.
import { createClient, json } from '@fantail/client';
import { fantail, useClient, useLive } from '@fantail/client/vue';
import { computed, createApp, ref } from 'vue';

const RECEIVERS = ['user/ada', 'user/bo', 'user/cy', 'role/admin', 'role/editor', 'role/support'];

async function call(method, path, body = null, signal = null) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: `${path} answered ${answer.status}` }));
  throw Object.assign(new Error(error), { status: answer.status });
}

/** Does something when the user says so, and shows why it failed. */
const trying = (problem, act) => async () => {
  problem.value = '';
  await act().catch(({ message }) => (problem.value = message));
};

let shown;

/** Shows a view, with a client if it needs one, in place of the last one. */
function show(view, props, client) {
  shown?.app.unmount();
  shown?.client?.close();
  const app = createApp(view, props);
  if (client) app.use(fantail(client));
  app.mount('#app');
  shown = { app, client, user: props?.user };
}

const leave = () => show(SignIn);
/** Tells the other tabs whose session has ended: by now, somebody else may be signed in in some of them. */
const ended = new BroadcastChannel('notifications: the session has ended');
ended.onmessage = ({ data: user }) => shown?.user === user && leave();

const SignIn = {
  template: '#sign-in',
  setup() {
    const [user, password, problem] = [ref(''), ref(''), ref('')];
    const signIn = trying(problem, async () => {
      await call('POST', '/api/session', { user: user.value, password: password.value });
      await start();
    });
    return { user, password, problem, signIn };
  },
};

const Inbox = {
  template: '#inbox',
  props: ['user', 'roles', 'topics', 'url'],
  setup({ topics }) {
    const { state, stale, error } = useLive({
      topics,
      load: async (signal) => (await call('GET', '/api/notifications', null, signal)).json(),
      // A notification may be in what was loaded, and come as an event, too.
      apply: (all, { name, data }) =>
        name !== 'notification' || all.some(({ id }) => id === data.id) ? all : [data, ...all],
    });
    const words = computed(() => error.value?.message ?? (stale.value ? 'not up to date' : 'live'));
    const client = useClient();
    const [to, text, problem] = [ref(RECEIVERS[0]), ref(''), ref('')];
    const send = trying(problem, async () => {
      await call('POST', '/api/notifications', { to: to.value, text: text.value });
      text.value = '';
    });
    const signOut = trying(problem, async () => {
      await call('DELETE', '/api/session');
      // Ends the stream of all tabs at once, and asks for a token. There is none any more.
      await client.refreshToken();
    });
    return { state, words, receivers: RECEIVERS, to, text, problem, send, signOut };
  },
};

const createUserClient = ({ url, user }) =>
  createClient({
    url,
    events: { notification: json() },
    // All tabs of a user have one stream and one token. Those of another user have another name.
    share: `notifications of ${user}`,
    async token(why, signal) {
      try {
        return await (await call('POST', '/api/token', { user }, signal)).text();
      } catch (error) {
        // Anything else may pass: the client tries again.
        if (error.status !== 401) throw error;
        ended.postMessage(user);
        setTimeout(leave);
        return null;
      }
    },
  });

async function start() {
  try {
    const session = await (await call('GET', '/api/session')).json();
    show(Inbox, session, createUserClient(session));
  } catch (error) {
    if (error.status !== 401) throw error;
    leave();
  }
}

await start().catch(({ message }) => (document.querySelector('#app').textContent = `${message}: load the page again`));
