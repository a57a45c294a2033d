// The stretch of time that is looked at, and how it is moved and zoomed within the recording.

const SHORTEST_MS = 0.01; // no closer look than this
const ZOOM_STEP = 0.6; // what one step leaves of the stretch

export class View {
  from = 0; // ms
  to = 1; // ms
  followsAll = true; // shows all of the recording, whatever that grows to
  #recording;
  #onChange;

  // onChange: called after each show(), not when the recording grows.
  constructor(recording, onChange) {
    this.#recording = recording;
    this.#onChange = onChange;
  }

  get span() {
    return this.to - this.from;
  }

  // Shows this stretch (ms), or the nearest one that the recording has.
  show(from, to) {
    const { lengthMs, leadMs } = this.#recording;
    const span = Math.min(Math.max(to - from, SHORTEST_MS), lengthMs * 1.05 + leadMs);
    const begin = Math.min(Math.max(from, -leadMs - lengthMs * 0.025), lengthMs * 1.025 - span);
    this.followsAll = span >= lengthMs * 0.999 && begin >= -lengthMs * 0.026;
    this.from = this.followsAll ? 0 : begin;
    this.to = this.followsAll ? lengthMs : begin + span;
    this.#onChange();
  }

  showAll() {
    this.show(0, this.#recording.lengthMs);
  }

  showBegin() {
    this.show(0, this.span);
  }

  showEnd() {
    const { lengthMs } = this.#recording;
    this.show(lengthMs - this.span, lengthMs);
  }

  // factor: below 1 zooms in. centre: the time (ms) that stays where it is, by default the middle.
  zoom(factor, centre = this.from + this.span / 2) {
    this.show(centre - (centre - this.from) * factor, centre + (this.to - centre) * factor);
  }

  zoomIn() {
    this.zoom(ZOOM_STEP);
  }

  zoomOut() {
    this.zoom(1 / ZOOM_STEP);
  }

  // share: of what is seen, to the right; negative: to the left.
  move(share) {
    this.show(this.from + this.span * share, this.to + this.span * share);
  }

  // Keeps up with a recording whose length was `before` (ms). Returns whether what is seen has changed.
  growFrom(before) {
    if (!this.followsAll) return this.to >= before * 0.98 && this.#recording.isGoingOn;
    this.to = this.#recording.lengthMs;
    return this.to !== before;
  }

  // The place of a time on a canvas of this width; both in pixels.
  x(ms, width) {
    return ((ms - this.from) / this.span) * width;
  }

  timeAt(x, width) {
    return this.from + (x / width) * this.span;
  }
}
