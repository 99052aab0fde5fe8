/** Bundles the pages once, before all tests. */
import { buildPages } from '../../build.mjs';

export const setup = (): Promise<void> => buildPages();
