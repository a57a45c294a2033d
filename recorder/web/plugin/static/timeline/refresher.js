// Refreshes the page while the recording is in progress. The pause is four times as long as the last requests took, so
// a page that is left open causes little load.

const MIN_PAUSE = 2e3; // ms between two refreshes
const MAX_PAUSE = 60e3;

export class Refresher {
  #recording;
  #requests;
  #selection;
  #criticalPath;
  #timer = 0;

  constructor(recording, requests, selection, criticalPath) {
    this.#recording = recording;
    this.#requests = requests;
    this.#selection = selection;
    this.#criticalPath = criticalPath;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !requests.isBusy) this.schedule();
    });
  }

  // Refreshes after the pause, if the recording is in progress.
  schedule() {
    clearTimeout(this.#timer);
    if (!this.#recording.isInProgress) return;
    const { spentMs, failures } = this.#requests;
    const minPause = MIN_PAUSE * 2 ** Math.min(failures, 10);
    this.#timer = setTimeout(() => this.#refresh(), Math.min(Math.max(4 * spentMs, minPause), MAX_PAUSE));
  }

  #refresh() {
    if (document.hidden || this.#requests.isBusy || !this.#recording.isInProgress) return;
    this.#requests.resetSpent();
    this.#requests.request("overview");
    const { process, stretch } = this.#selection;
    if (process !== null) this.#requests.enqueue("process");
    if (stretch) this.#requests.enqueue("stretch");
    if (this.#criticalPath.isOn) this.#requests.enqueue("path");
    const isChoosing = document.activeElement.tagName === "SELECT"; // an open list must not change
    if (!isChoosing) this.#requests.request("choices");
  }
}
