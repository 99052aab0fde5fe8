/**
 * Whether the counts are those of the acceptance tests (`npm run test:browser:full`), or fewer.
 */
export const FULL = process.env['BROWSER_TESTS'] === 'full';
