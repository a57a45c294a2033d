// The data that the server has sent: a summary of the whole recording, and the processes of a time range.

// Names of the outcomes; the server sends indexes into this list.
export const OUTCOMES = ["ok", "failed", "signalled", "running", "lost"];

export const COLOURS = 11; // so many programs or users have a colour of their own; the others share one

export class Recording {
  summary = null; // of the whole recording, from overview.json
  windowData = null; // bars and counts, from the latest window.json
  windowRange = null; // the time range of windowData: { from, to }, in ms
  #lengthMs;

  // lengthMs: the length when the page was loaded; later answers of the server contain newer lengths.
  constructor(lengthMs) {
    this.#lengthMs = lengthMs;
  }

  setSummary(summary) {
    this.summary = summary;
  }

  setWindow(data, range) {
    this.windowData = data;
    this.windowRange = range;
  }

  get lengthMs() {
    const known = this.summary || this.windowData;
    return known ? known.length_ms : this.#lengthMs;
  }

  // The recorded time before 0: with --all, the recording starts before the command, and the command starts at 0.
  get leadMs() {
    return this.summary ? this.summary.lead_ms : 0;
  }

  get isInProgress() {
    const known = this.summary || this.windowData;
    return Boolean(known) && known.status === "recording";
  }
}
