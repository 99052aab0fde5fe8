/**
 * The browsers that are tested, headless, each with a profile of its own that is removed at the end.
 * `CHROMIUM` and `FIREFOX` name other programs; an empty one leaves that browser out.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, firefox, type BrowserContext } from 'playwright-core';

export type Kind = 'chromium' | 'firefox';

const PROGRAMS: Record<Kind, string> = {
  chromium: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  firefox: process.env['FIREFOX'] ?? '/usr/bin/firefox-esr',
};

export const KINDS = (Object.keys(PROGRAMS) as Kind[]).filter((kind) => PROGRAMS[kind]);

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

export async function launch(kind: Kind): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), `fantail-${kind}-`));
  const type = kind === 'chromium' ? chromium : firefox;
  const context = await type.launchPersistentContext(profile, {
    executablePath: PROGRAMS[kind],
    headless: true,
    ...OPTIONS[kind],
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
