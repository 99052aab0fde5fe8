// A `fetch` that sends a token along: each request takes the next of the tokens, the last one serves for good. Runs in Node.js and in a page.

export function bearer(tokens = []) {
  const left = [...tokens];
  return (url, init = {}) => {
    const token = left.length > 1 ? left.shift() : left[0];
    const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    return fetch(url, { ...init, headers: { ...init.headers, ...authorization } });
  };
}
