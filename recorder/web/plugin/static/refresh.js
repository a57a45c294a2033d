// Repeats a request while a recording is in progress: one at a time, none while the page is hidden. The pause is four
// times as long as the last request took, so a page that is left open causes little load.

const MIN_PAUSE = 2e3; // ms
const MAX_PAUSE = 60e3;

// Returns the pause after requests that took so long, in ms. failures: how many have failed since the last success.
export function pauseAfter(spentMs, failures) {
  return Math.min(Math.max(4 * spentMs, MIN_PAUSE * 2 ** Math.min(failures, 10)), MAX_PAUSE);
}

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
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(run, pauseAfter(performance.now() - since, failures));
  };
  document.addEventListener("visibilitychange", run);
  return run();
}
