// Repeats a request while a recording is in progress: one at a time, none while the page is hidden. The pause is four
// times as long as the last request took, so a page that is left open causes little load.

const MIN_PAUSE = 2e3; // ms
const MAX_PAUSE = 60e3;

// load: an async function that returns whether the recording is in progress. Failures make the pauses longer.
export function follow(load) {
  let timer = 0;
  let isBusy = false;
  let failures = 0;
  let isOver = false;
  const run = async () => {
    if (document.hidden || isBusy || isOver) return;
    isBusy = true;
    const since = performance.now();
    try {
      isOver = !(await load());
      failures = 0;
    } catch {
      failures += 1;
    }
    isBusy = false;
    const pause = Math.max(4 * (performance.now() - since), MIN_PAUSE * 2 ** Math.min(failures, 10));
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(run, Math.min(pause, MAX_PAUSE));
  };
  document.addEventListener("visibilitychange", run);
  return run();
}
