// The examples of the README as files of a project: what is shown there compiles, and its test passes.
import { readFileSync } from 'node:fs';
import { compileScript, parse } from 'vue/compiler-sfc';

/** A component of Vue as the TypeScript that its compiler makes of it, with its template. */
function compiled(filename, source) {
  const { descriptor, errors } = parse(source, { filename });
  if (errors.length) throw errors[0];
  return compileScript(descriptor, { id: filename, inlineTemplate: true }).content;
}

/**
 * The code of each block, under the name in its first line or a number. A component is imported as what
 * it is compiled to, because `tsc` does not know `.vue`.
 */
export function examples(readme = 'README.md') {
  const blocks = [...readFileSync(readme, 'utf8').matchAll(/^```(tsx?|vue)\n([^]*?)^```$/gm)];
  return blocks.map(([, language, code], index) => {
    const named = /^(?:\/\/|<!--) (\S+\.\w+)/.exec(code)?.[1] ?? `example-${index}.${language}`;
    if (language === 'vue') return { name: `${named}.ts`, code: compiled(named, code) };
    return { name: named, code: code.replaceAll(".vue';", ".vue.js';") };
  });
}
