// Refreshes the page while the recording is in progress, with a pause after the last requests.

import { pauseAfter } from "../refresh.js";

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
    this.#timer = setTimeout(() => this.#refresh(), pauseAfter(spentMs, failures));
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
