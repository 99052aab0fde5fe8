/**
 * The browsers that are tested, headless, each with a profile of its own that is removed at the end.
 * `CHROMIUM` and `FIREFOX` name other programs.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { chromium, firefox, type BrowserContext } from 'playwright-core';

export type Kind = 'chromium' | 'firefox';

export const KINDS: readonly Kind[] = ['chromium', 'firefox'];

/** Names under which they are installed; `xtask/src/tools.rs` has the same. */
const NAMES: Record<Kind, readonly string[]> = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome'],
  firefox: ['firefox-esr', 'firefox'],
};

function programOf(kind: Kind): string {
  const given = process.env[kind.toUpperCase()];
  if (given) return given;
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  const found = NAMES[kind].flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
  if (found) return found;
  throw new Error(`${kind} is not installed; install it, or name its program in ${kind.toUpperCase()}`);
}

const OPTIONS = {
  chromium: {
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // No page may look beyond this machine.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  },
  firefox: {
    // Firefox as distributions build it, over WebDriver BiDi.
    channel: 'moz-firefox',
    firefoxUserPrefs: {
      'network.dns.disabled': true,
      'app.update.auto': false,
      'browser.safebrowsing.downloads.remote.enabled': false,
      'browser.safebrowsing.malware.enabled': false,
      'browser.safebrowsing.phishing.enabled': false,
      'datareporting.policy.dataSubmissionEnabled': false,
      'extensions.update.enabled': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'services.settings.server': 'data:,',
    },
  },
};

export interface Browser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

/** A browser of one person: cookies are shared by its tabs and by no other browser. */
export async function launch(kind: Kind): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), `fantail-${kind}-`));
  const type = kind === 'chromium' ? chromium : firefox;
  const remove = (): Promise<void> => rm(profile, { recursive: true, force: true, maxRetries: 5 });
  try {
    const options = { executablePath: programOf(kind), headless: true, ...OPTIONS[kind] };
    const context = await type.launchPersistentContext(profile, options);
    context.setDefaultTimeout(20_000);
    return {
      context,
      async close() {
        await context.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
