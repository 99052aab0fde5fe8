// The page that links to all examples.

/** @param {unknown} text */
const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/**
 * An example, and its address if it runs, or what it needs if it does not.
 *
 * @typedef {{ app: import('./apps.mjs').App, url?: string, lacks?: string[] }} Entry
 */

/** @param {Entry} entry */
function section({ app, url, lacks = [] }) {
  const title = escaped(app.title);
  const hints = app.try.map((hint) => `<li>${escaped(hint)}</li>`).join('');
  const state = url
    ? `<ul>${hints}</ul>`
    : `<p class="missing">Not started. It needs what is not here:</p>${lacks.map((lack) => `<pre>${escaped(lack)}</pre>`).join('')}`;
  return `<section id="${escaped(app.name)}">
      <h2>${url ? `<a href="${escaped(url)}">${title}</a>` : title}</h2>
      <p><small>${escaped(app.made)}, in <code>examples/${escaped(app.name)}</code></small></p>
      <p>${escaped(app.shows)}</p>
      ${state}
    </section>`;
}

/**
 * @param {{ entries: Entry[], node: { url: string, redis: string, admin: string } }} demo
 */
export const indexPage = ({ entries, node }) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>Fantail: examples</title>
    <link rel="icon" href="data:," />
    <style>
      body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
      section { border-top: 1px solid #ccc; padding: 0.5rem 0; }
      .missing { color: #a00; }
      pre { overflow: auto; }
    </style>
  </head>
  <body>
    <h1>Examples</h1>
    <p>One node delivers the events of all of them. Ctrl-C in the terminal ends it and them.</p>
    ${entries.map(section).join('\n    ')}
    <section id="node">
      <h2>The node</h2>
      <p>Hear the dashboard's orders, and publish one of your own:</p>
      <pre>curl -N ${escaped(node.url)}events/dashboard/orders</pre>
      <pre>redis-cli -u ${escaped(node.redis)} PUBLISH dashboard/orders '{"id":0,"goods":"nothing","euros":1,"state":"paid"}'</pre>
      <p>What it does: <a href="${escaped(node.admin)}metrics">metrics</a>, <a href="${escaped(node.admin)}streams?slowest=20">streams</a>.</p>
    </section>
  </body>
</html>
`;
