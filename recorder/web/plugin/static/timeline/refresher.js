// Asks again and again for a recording that goes on. The pause is several times as long as the answers took, so that a
// page that is left open is no load.

const LEAST_PAUSE = 2e3; // ms from one look to the next
const MOST_PAUSE = 60e3;

export class Refresher {
  #recording;
  #requests;
  #timer = 0;

  constructor(recording, requests) {
    this.#recording = recording;
    this.#requests = requests;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !requests.isBusy) this.schedule();
    });
  }

  // Looks again after the pause, if the recording goes on.
  schedule() {
    clearTimeout(this.#timer);
    if (!this.#recording.isGoingOn) return;
    const { spentMs, failures } = this.#requests;
    const least = LEAST_PAUSE * 2 ** Math.min(failures, 10);
    this.#timer = setTimeout(() => this.#look(), Math.min(Math.max(4 * spentMs, least), MOST_PAUSE));
  }

  #look() {
    if (document.hidden || this.#requests.isBusy || !this.#recording.isGoingOn) return;
    this.#requests.resetSpent();
    this.#requests.want("overview");
    const isChoosing = document.activeElement.tagName === "SELECT"; // a list that is open must not change
    if (!isChoosing) this.#requests.want("choices");
  }
}
