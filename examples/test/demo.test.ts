/** `demo/start.mjs`, which `cargo xtask demo` runs. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EXAMPLES, missing, readApps } from '../demo/apps.mjs';
import { indexPage } from '../demo/index.mjs';
import { launch } from '../../clients/js/browser/support/browsers.ts';
import { says } from './support/pages.ts';
import { until } from './support/until.ts';

const ends: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function startDemo(words: string[] = [], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['demo/start.mjs', ...words], {
    cwd: EXAMPLES,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  ends.push(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return {
    exit,
    said: () => said,
    signal: (name: NodeJS.Signals) => child.kill(name),
    /** Its programs: the node and the servers of the examples, in the order of their start. */
    programs: () =>
      childrenOf(child.pid as number).filter((pid) => !commandOf(pid).includes('esbuild')),
    address: () =>
      until(() => {
        if (child.exitCode !== null) throw new Error(`the demo has ended: ${said}`);
        return /The examples are at (http:\S+)/.exec(said)?.[1];
      }, 'the address'),
  };
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8');

/** Whether a process exists. */
function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the demo', () => {
  it('has one page that leads to all examples, and ends them on Ctrl-C', async () => {
    const demo = startDemo();
    const address = await demo.address();
    const browser = await launch('chromium');
    ends.push(() => browser.close());
    const page = await browser.context.newPage();
    for (const app of readApps()) {
      await page.goto(address);
      const section = page.locator(`#${app.name}`);
      expect(await section.innerText()).toContain(app.title);
      if (missing(app).length) {
        expect(await section.innerText()).toContain('Not started');
        continue;
      }
      for (const hint of app.try) expect(await section.innerText()).toContain(hint);
      const failures: unknown[] = [];
      page.on('pageerror', (error) => failures.push(error));
      await section.getByRole('link').click();
      await until(async () => (await page.locator('body').innerText()).trim() !== '', `${app.name} is drawn`);
      expect(failures).toEqual([]);
    }
    await page.goto(address);
    await page.getByRole('link', { name: 'Live dashboard' }).click();
    await says(page, 'live');
    await page.getByRole('button', { name: 'Place an order' }).click();
    await page.getByRole('row').waitFor();

    const programs = demo.programs();
    expect(programs).toHaveLength(1 + readApps().filter((app) => !missing(app).length).length);
    demo.signal('SIGINT');
    expect(await demo.exit).toBe(0);
    expect(programs.filter(lives)).toEqual([]);
  });

  it('ends as a whole when one of its programs ends', async () => {
    const demo = startDemo();
    await demo.address();
    const programs = demo.programs();
    process.kill(programs.at(-1) as number, 'SIGKILL');
    expect(await demo.exit).toBe(1);
    expect(demo.said()).toContain('has ended, and so do the others.');
    expect(programs.filter(lives)).toEqual([]);
  });

  it('ends at once, and leaves nobody behind, when it is told twice', async () => {
    const demo = startDemo();
    await demo.address();
    const programs = demo.programs();
    demo.signal('SIGINT');
    // While the node is drained.
    await until(() => demo.said().includes('draining'), 'the node is ending');
    demo.signal('SIGINT');
    expect(await demo.exit).toBe(1);
    await until(() => !programs.some(lives), 'all programs are gone');
  });

  it('ends in good order while it starts', async () => {
    const demo = startDemo();
    const programs = await until(() => {
      const all = demo.programs().filter((pid) => commandOf(pid).includes('fantail.toml'));
      return all.length ? all : undefined;
    }, 'the node is being started');
    demo.signal('SIGTERM');
    expect(await demo.exit).toBe(0);
    expect(programs.filter(lives)).toEqual([]);
  });

  it('starts nothing when its port is taken or is none', async () => {
    const socket = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => socket.once('listening', resolve));
    ends.push(() => void socket.close());
    const { port } = socket.address() as AddressInfo;
    for (const [word, reason] of [[String(port), 'EADDRINUSE'], ['70000', '70000 is no port']] as const) {
      const demo = startDemo([word]);
      expect(await demo.exit).toBe(1);
      expect(demo.said()).toContain(reason);
      expect(demo.said()).not.toContain('serving');
    }
  });

  it('says what an example needs that is not here', () => {
    const [app] = readApps();
    const needy = { ...(app as NonNullable<typeof app>), needs: ['no-such-program', 'sh'] };
    const lacks = missing(needy);
    expect(lacks).toEqual(['no-such-program: sudo apt-get install no-such-program']);
    const node = { url: 'http://127.0.0.1:1/', redis: 'redis://127.0.0.1:2', admin: 'http://127.0.0.1:3/' };
    const page = indexPage({ entries: [{ app: { ...needy, title: '<b>' }, lacks }], node });
    expect(page).toContain('no-such-program: sudo apt-get install');
    expect(page).toContain('&#60;b&#62;');
    expect(page).not.toContain(`href="http://127.0.0.1:${needy.port}`);
  });

  it('names the command that builds a node where there is none', async () => {
    const demo = startDemo([], { FANTAIL_BIN: join(EXAMPLES, 'no-such-program') });
    expect(await demo.exit).toBe(1);
    expect(demo.said()).toContain('cargo build --release');
  });
});
