// What is known of the recording so far: a summary of the whole, and the picture of a stretch of it.

// Names of the outcomes, in the order of the numbers that the server sends.
export const OUTCOMES = ["ok", "failed", "signalled", "running", "lost"];

export class Recording {
  summary = null; // of the whole recording, as overview.json has it
  picture = null; // bars and counts, as the last window.json had them
  stretch = null; // what the picture shows: { from, to }, in ms
  #lengthMs;

  // lengthMs: the length that the page was sent with; the server's answers have a newer one.
  constructor(lengthMs) {
    this.#lengthMs = lengthMs;
  }

  setSummary(summary) {
    this.summary = summary;
  }

  setPicture(picture, stretch) {
    this.picture = picture;
    this.stretch = stretch;
  }

  get lengthMs() {
    const known = this.summary || this.picture;
    return known ? known.length_ms : this.#lengthMs;
  }

  // How much was recorded before time 0: with --all, what ran before the command began.
  get leadMs() {
    return this.summary ? this.summary.lead_ms : 0;
  }

  get isGoingOn() {
    const known = this.summary || this.picture;
    return Boolean(known) && known.status === "recording";
  }
}
