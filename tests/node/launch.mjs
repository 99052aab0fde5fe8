// The browsers of the tests: Debian's, headless, each with a profile of its own that is removed at the end.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, firefox } from 'playwright-core';

const kinds = {
  chromium: {
    type: chromium,
    options: {
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        // Nothing in this test may look beyond this machine.
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      ],
    },
  },
  firefox: {
    type: firefox,
    options: {
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
  },
};

// A browser of the kind `chromium` or `firefox`, and how to end it.
export async function launch(kind, executablePath) {
  const { type, options } = kinds[kind];
  const profile = await mkdtemp(join(tmpdir(), `fantail-${kind}-`));
  const context = await type.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    // The certificates of the tests are signed by nobody.
    ignoreHTTPSErrors: true,
    ...options,
  });
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
