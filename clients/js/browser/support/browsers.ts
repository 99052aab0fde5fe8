/**
 * The browsers that are tested, headless, each with a profile of its own that is removed at the end.
 * They are found in `PATH`. `CHROMIUM` and `FIREFOX` name other programs; an empty one leaves that
 * browser out. The tests of `examples/` have the same.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { chromium, firefox, type BrowserContext } from 'playwright-core';

export type Kind = 'chromium' | 'firefox';

/** Names under which systems have them, as in `tests/external/watcher.rs`. */
const NAMES: Record<Kind, readonly string[]> = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome'],
  firefox: ['firefox-esr', 'firefox'],
};

const programOf = (kind: Kind): string | undefined => process.env[kind.toUpperCase()] ?? inPath(NAMES[kind]);

function inPath(names: readonly string[]): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  return names.flatMap((name) => directories.map((directory) => join(directory, name))).find((path) => existsSync(path));
}

export const KINDS = (Object.keys(NAMES) as Kind[]).filter((kind) => programOf(kind) !== '');

const OPTIONS = {
  chromium: {
    // The back/forward cache is one of the things that are tested.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // Nothing in this test may look beyond this machine.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  },
  firefox: {
    // Firefox as Debian builds it, over WebDriver BiDi.
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
  const program = programOf(kind);
  if (!program) throw new Error(`none of ${NAMES[kind].join(', ')} is in PATH; \`cargo xtask tools\` installs it`);
  const profile = await mkdtemp(join(tmpdir(), `fantail-${kind}-`));
  const type = kind === 'chromium' ? chromium : firefox;
  const remove = (): Promise<void> => rm(profile, { recursive: true, force: true, maxRetries: 5 });
  try {
    const options = { executablePath: program, headless: true, ...OPTIONS[kind] };
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
