// The public declarations in one file, compared with `api.d.ts`: a change of the API is seen in review.
// `node scripts/api.mjs --write` takes what `dist/` has now.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const REPORT = 'api.d.ts';

/** The subpaths of the package, by their declarations. */
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const entries = Object.values(exports).flatMap((entry) => entry.types ?? []);

const done = new Set();

/** A module and those that it exports from, without comments. */
function declarations(file) {
  if (done.has(file)) return '';
  done.add(file);
  const text = readFileSync(file, 'utf8')
    .replace(/\/\*\*[^]*?\*\/\s*/g, '')
    .replace(/^\/\/#.*\n?/gm, '')
    .trim();
  const others = [...text.matchAll(/^export .*from '\.\/(.*)\.(?:ts|js)';$/gm)];
  return [`// ${file}`, text, '', ...others.map(([, name]) => declarations(`${dirname(file)}/${name}.d.ts`))].join('\n');
}

const now = `${entries.map((entry) => declarations(entry.replace('./', ''))).join('\n').trim()}\n`;
if (process.argv.includes('--write')) {
  writeFileSync(REPORT, now);
} else if (readFileSync(REPORT, 'utf8') !== now) {
  console.error(`the public declarations are not those of ${REPORT}; if that is meant: node scripts/api.mjs --write`);
  process.exitCode = 1;
} else {
  console.log(`${REPORT}: as it is`);
}
