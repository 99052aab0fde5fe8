/** Programs that the demo and the tests start end with all that they have started. */
import { execFileSync, spawn } from 'node:child_process';
import { afterEach, expect, it } from 'vitest';
import { EXAMPLES } from '../demo/apps.mjs';
import { startProgram } from '../demo/processes.mjs';
import { until } from './support/until.ts';

const pids: number[] = [];

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

afterEach(() => {
  for (const pid of pids.splice(0)) if (lives(pid)) process.kill(pid, 'SIGKILL');
});

/** The pids that a program wrote. */
function keep(text: string): number[] {
  const found = [...text.matchAll(/\d+/g)].map(Number);
  pids.push(...found);
  return found;
}

it('the children of a program that ends, end', async () => {
  const running = startProgram(['sh', '-c', 'sleep 600 & echo $!'], { cwd: EXAMPLES });
  const [child] = keep(await until(() => /\d+\n/.exec(running.said())?.[0], 'the child')) as [number];
  await running.exit;
  await until(() => !lives(child), 'the child is gone');
});

it('the programs of a process that ends, end, also those that ignore a request', async () => {
  const shell = 'trap "" TERM; sleep 600 & echo $$ $!; wait';
  const script = `
    import { startProgram } from './demo/processes.mjs';
    const running = startProgram(['sh', '-c', ${JSON.stringify(shell)}], { cwd: '.', print(line) {
      console.log(line);
      void running.stop();
      process.exit();
    } });`;
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: EXAMPLES, encoding: 'utf8' });
  const programs = keep(said);
  expect(programs).toHaveLength(2);
  await until(() => !programs.some(lives), 'both are gone');
});

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('the programs of a process that %s ends, end', async (signal) => {
  const script = `
    import { startProgram } from './demo/processes.mjs';
    startProgram(['sh', '-c', 'trap "" TERM; sleep 600 & echo $$ $!; wait'], {
      cwd: '.',
      print: (line) => console.log(line),
    });`;
  const process = spawn('node', ['--input-type=module', '--eval', script], { cwd: EXAMPLES });
  pids.push(process.pid as number);
  let said = '';
  process.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const exit = new Promise((resolve) => process.once('exit', (_code, by) => resolve(by)));
  const programs = keep(await until(() => /.*\n/.exec(said)?.[0], 'both run'));
  process.kill(signal);
  expect(await exit).toBe(signal);
  await until(() => !programs.some(lives), 'both are gone');
});

it('a program that cannot be started has ended, and says why', async () => {
  const running = startProgram(['no-such-program'], { cwd: EXAMPLES });
  await running.exit;
  expect(running.ended()).toBe(true);
  expect(running.said()).toContain('ENOENT');
});
