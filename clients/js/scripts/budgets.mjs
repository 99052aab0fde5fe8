// What the package may weigh: bytes of what is loaded at once, minified, as brotli sends it.
export const BUDGETS = {
  core: 11_350,
  // Vite adds its own code for what is loaded on demand.
  coreByVite: 11_900,
  // Loaded on demand.
  sharing: 4_750,
  // Without a client a view is of no use: what counts is what it adds to one.
  react: 819,
  vue: 819,
};
