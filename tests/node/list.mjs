// A page of an application, in Chromium: says {item} for each item that is added to a list of it.
// Usage: node list.mjs CHROMIUM URL SELECTOR

import { launch } from './launch.mjs';
import { orders, say } from './talk.mjs';

const [executable, url, list] = process.argv.slice(2);
const browser = await launch('chromium', executable);
try {
  const page = await browser.context.newPage();
  await page.exposeFunction('say', say);
  // The list is there before the page's module runs, which adds to it.
  await page.addInitScript((selector) => {
    document.addEventListener('readystatechange', () => {
      const watched = document.readyState === 'interactive' && document.querySelector(selector);
      if (watched) {
        const added = (changes) => changes.flatMap(({ addedNodes }) => [...addedNodes]);
        const tell = (changes) => added(changes).forEach((node) => window.say({ item: node.textContent }));
        new MutationObserver(tell).observe(watched, { childList: true });
      }
    });
  }, list);
  await page.goto(url);
  await orders(() => {});
} finally {
  await browser.close();
}
