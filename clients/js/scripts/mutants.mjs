// Breaks the rules of behaviour one by one, in a copy of the package, and shows which test fails for
// each. One that no test notices is a fault of the tests.
//
// `node scripts/mutants.mjs [part of a rule]…`; those in browsers need FANTAIL_BIN.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** A rule, what is broken of it, and the file of tests that is to notice. */
const MUTANTS = [
  {
    rule: 'an event that two requests bring comes once',
    file: 'src/stream.ts',
    from: "if (told === 'all') return;",
    to: '',
    tests: 'test/topics.test.ts',
  },
  {
    rule: 'the cursor moves with every id, with data or without',
    file: 'src/stream.ts',
    from: 'if (block.id !== undefined) cursor',
    to: 'if (block.id !== undefined && block.data !== undefined) cursor',
    tests: 'browser/cuts.test.ts',
  },
  {
    rule: 'a request is replaced when the next one is open, not before',
    file: 'src/stream.ts',
    from: 'if (current?.openAt) {',
    to: 'if (false) {',
    tests: 'test/topics.test.ts',
  },
  {
    rule: 'what an old request says after its end is dropped',
    file: 'src/stream.ts',
    from: 'call.over || method(value)',
    to: 'method(value)',
    tests: 'test/token.test.ts',
  },
  {
    rule: 'failures are forgotten after 10 s open, not at the opening',
    file: 'src/stream.ts',
    from: 'openAt > failedAt && now - openAt >= STEADY_MS',
    to: 'openAt > failedAt',
    tests: 'test/retry.test.ts',
  },
  {
    rule: 'a drain is no failure',
    file: 'src/stream.ts',
    from: "if (why !== 'drain') {\n      failures++;",
    to: 'failures++;\n    {',
    tests: 'test/retry.test.ts',
  },
  {
    rule: 'a wait is never shorter than the server asks for',
    file: 'src/backoff.ts',
    from: 'Math.max(Math.min(floor, FLOOR_MAX_MS), Math.random() * most)',
    to: 'Math.max(Math.min(floor, FLOOR_MAX_MS) * 0, Math.random() * most)',
    tests: 'browser/storm.test.ts',
  },
  {
    rule: 'waits are spread',
    file: 'src/backoff.ts',
    from: 'Math.random() * most',
    to: 'most',
    tests: 'test/storm.test.ts',
  },
  {
    rule: 'a stream is open with its first word, not with the status 200: a shed one never is',
    file: 'src/stream.ts',
    from: "if (config.server === 'fantail' && !config.native) return;",
    to: '',
    tests: 'browser/storm.test.ts',
  },
  {
    rule: 'a 502 is tried again',
    file: 'src/errors.ts',
    from: "status < 500 && code !== 'network' &&",
    to: 'status < 600 &&',
    tests: 'browser/faults.test.ts',
  },
  {
    rule: 'a 403 is not',
    file: 'src/stream.ts',
    from: 'if (error && isFinal(error))',
    to: 'if (error && isFinal(error) && error.status === 0)',
    tests: 'browser/token.test.ts',
  },
  {
    rule: 'what is left of an incomplete block is dropped with its stream',
    file: 'src/transport/fetch.ts',
    from: 'if (done || take(',
    to: "if (done) take('\\n\\n');\n      if (done || take(",
    tests: 'browser/faults.test.ts',
  },
  {
    rule: 'a character that is cut by the end of a read is joined',
    file: 'src/transport/fetch.ts',
    from: 'decoder.decode(value, { stream: true })',
    to: 'decoder.decode(value)',
    tests: 'test/cuts.test.ts',
  },
  {
    rule: 'CR and LF of two reads are one end of a line',
    file: 'src/parser.ts',
    from: "if (afterCr && text[0] === '\\n') text = text.slice(1);",
    to: '',
    tests: 'test/parser.test.ts',
  },
  {
    rule: 'one call for a token at a time',
    file: 'src/token.ts',
    from: 'if (flight) return flight;',
    to: '',
    tests: 'test/token.test.ts',
  },
  {
    rule: 'a token is renewed before its end',
    file: 'src/token.ts',
    from: 'schedule(staleAt);\n          log',
    to: 'log',
    tests: 'browser/token.test.ts',
  },
  {
    rule: 'a second 401 ends a stream',
    file: 'src/stream.ts',
    from: 'unauthorized && !refused &&',
    to: 'unauthorized &&',
    tests: 'test/token.test.ts',
  },
  {
    rule: 'a dead line is noticed',
    file: 'src/stream.ts',
    from: 'if (silence > limit)',
    to: 'if (false)',
    tests: 'test/retry.test.ts',
  },
  {
    rule: 'a page that is left has no stream',
    file: 'src/page.ts',
    from: "if (type === 'pagehide' || type === 'freeze') left = true;",
    to: '',
    tests: 'test/page.test.ts',
  },
  {
    rule: 'a stream without listeners stays for `linger`',
    file: 'src/own.ts',
    from: ': linger + (topics ? COALESCE_MS : 0)',
    to: ': linger * 0',
    tests: 'browser/views.test.ts',
  },
  {
    rule: 'a state is loaded again after a gap',
    file: 'src/live.ts',
    from: 'gap: start,',
    to: '',
    tests: 'browser/views.test.ts',
  },
  {
    rule: 'a handler that throws stops nothing',
    file: 'src/errors.ts',
    from: '    report(error);\n    return undefined;',
    to: '    throw error;',
    tests: 'test/subscribe.test.ts',
  },
  {
    rule: 'readers are released',
    file: 'src/transport/fetch.ts',
    from: 'reader.releaseLock();',
    to: '',
    tests: 'browser/growth.test.ts',
  },
  {
    rule: 'what listens to the page ends with the client',
    file: 'src/page.ts',
    from: "each('removeEventListener');",
    to: '',
    tests: 'browser/growth.test.ts',
  },
  {
    rule: 'a leader that hangs is replaced',
    file: 'src/share/heartbeat.ts',
    from: 'now - heardAt >= DEAD_MS &&',
    to: 'now - heardAt >= Infinity * DEAD_MS &&',
    tests: 'test/share/liveness.test.ts',
  },
  {
    rule: 'a tab that leads goes on from its own cursor',
    file: 'src/share/track.ts',
    from: '{ from: from ?? config.from, spread: key === JOINED',
    to: '{ from: from && config.from, spread: key === JOINED',
    tests: 'test/share/stream.test.ts',
  },
  {
    rule: 'what is before the place of a request is not expected any longer, and no more',
    file: 'src/overlap.ts',
    from: 'if (isBefore) own.push(key);',
    to: 'expected.delete(key);',
    tests: 'test/share/liveness.test.ts',
  },
  {
    rule: 'a tab is not told what is older than what it asked for',
    file: 'src/share/track.ts',
    from: 'handed.floor ??= cover.floor;',
    to: 'handed.floor ??= cover.start;',
    tests: 'test/share/liveness.test.ts',
  },
  {
    rule: 'what came to other tabs is no repetition for this one',
    file: 'src/share/handed.ts',
    from: 'const before = [...repeated,',
    to: 'const before = [...told, ...repeated,',
    tests: 'test/share/split.test.ts',
  },
  {
    rule: 'a second stream repeats nothing of the first',
    file: 'src/merge.ts',
    from: "const isOver = !several() && timeOf(id ?? '') !== undefined;",
    to: 'const isOver = !several();',
    tests: 'test/topics.test.ts',
  },
  {
    rule: 'the terms of two leaders differ',
    file: 'src/share/room.ts',
    from: 'Math.max(term, Date.now()) + 1 - Math.random()',
    to: 'Math.max(term + 1, Date.now() + Math.random())',
    tests: 'test/share/liveness.test.ts',
  },
];

const chosen = process.argv.slice(2);
const survivors = [];

/** The names of the tests that failed; nothing if all passed. */
function failures(tests) {
  const config = tests.startsWith('browser/') ? ['--config', 'vitest.browser.config.ts'] : ['--project', 'client'];
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  try {
    if (tests.startsWith('browser/')) execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: copy, stdio: 'ignore' });
    const args = ['run', '--root', copy, ...config, '--reporter', 'json', '--outputFile', report, tests];
    execFileSync(resolve('node_modules/.bin/vitest'), args, { cwd: copy, stdio: 'ignore' });
    return [];
  } catch (error) {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const failed = testResults.flatMap(({ assertionResults }) => assertionResults.filter(({ status }) => status === 'failed'));
    if (!failed.length) throw error;
    return failed.map(({ fullName }) => fullName.trim());
  }
}

const stale = MUTANTS.filter(({ file, from }) => readFileSync(file, 'utf8').split(from).length !== 2);
if (stale.length) {
  throw new Error(`these are not where they were, or twice: ${stale.map(({ rule, file }) => `${rule} (${file})`).join('; ')}`);
}

const copy = mkdtempSync(join(tmpdir(), 'fantail-mutants-'));
try {
  const left = ['node_modules', 'dist'].map((name) => resolve(name));
  cpSync('.', copy, { recursive: true, filter: (path) => !left.includes(resolve(path)) });
  symlinkSync(resolve('node_modules'), join(copy, 'node_modules'));
  for (const { rule, file, from, to, tests } of MUTANTS) {
    if (chosen.length && !chosen.some((part) => rule.includes(part))) continue;
    const path = join(copy, file);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(from, () => to));
    const failed = failures(tests);
    writeFileSync(path, text);
    if (!failed.length) survivors.push(rule);
    console.log(`${failed.length ? 'noticed' : 'SURVIVED'}: ${rule}\n  ${failed[0] ?? tests}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
if (survivors.length) {
  console.error(`${survivors.length} survived: ${survivors.join('; ')}`);
  process.exitCode = 1;
}
