// Counts what a page has left: timers, listeners of the window and the document, and locked readers.
// Runs before the client does. Timers that the test sets by `native` do not count.
const timers = new Set();
const listeners = [];
const readers = new Set();

const native = { setTimeout: setTimeout.bind(window), clearTimeout: clearTimeout.bind(window) };
for (const [set, clear, once] of [
  ['setTimeout', 'clearTimeout', true],
  ['setInterval', 'clearInterval', false],
]) {
  const [start, end] = [window[set].bind(window), window[clear].bind(window)];
  window[set] = (call, delay, ...values) => {
    const timer = start(
      (...given) => {
        if (once) timers.delete(timer);
        call(...given);
      },
      delay,
      ...values,
    );
    timers.add(timer);
    return timer;
  };
  window[clear] = (timer) => {
    timers.delete(timer);
    end(timer);
  };
}

for (const target of [window, document]) {
  const [add, remove] = [target.addEventListener.bind(target), target.removeEventListener.bind(target)];
  const place = (name, call) => listeners.findIndex((each) => each[0] === target && each[1] === name && each[2] === call);
  target.addEventListener = (name, call, ...rest) => {
    if (place(name, call) < 0) listeners.push([target, name, call]);
    add(name, call, ...rest);
  };
  target.removeEventListener = (name, call, ...rest) => {
    const index = place(name, call);
    if (index >= 0) listeners.splice(index, 1);
    remove(name, call, ...rest);
  };
}

const { getReader } = ReadableStream.prototype;
ReadableStream.prototype.getReader = function (...values) {
  const reader = getReader.apply(this, values);
  readers.add(reader);
  return reader;
};
const { releaseLock } = ReadableStreamDefaultReader.prototype;
ReadableStreamDefaultReader.prototype.releaseLock = function () {
  releaseLock.call(this);
  readers.delete(this);
};

window.native = native;
window.leftovers = () => ({
  timers: timers.size,
  listeners: listeners.map(([, name]) => name),
  readers: readers.size,
});
