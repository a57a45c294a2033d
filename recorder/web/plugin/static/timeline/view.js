// The visible time range; it can be moved and zoomed within the recording.

const MIN_SPAN_MS = 0.01;
const ZOOM_STEP = 0.6; // share of the range that stays visible after one step

export class View {
  from = 0; // ms
  to = 1; // ms
  showsAll = true; // shows the whole recording, and follows its growth
  #recording;
  #onChange;

  // onChange: called after each show(), but not when the recording grows.
  constructor(recording, onChange) {
    this.#recording = recording;
    this.#onChange = onChange;
  }

  get span() {
    return this.to - this.from;
  }

  // Shows this range (ms), or the nearest one within the recording.
  show(from, to) {
    const { lengthMs, leadMs } = this.#recording;
    const span = Math.min(Math.max(to - from, MIN_SPAN_MS), lengthMs * 1.05 + leadMs);
    const start = Math.min(Math.max(from, -leadMs - lengthMs * 0.025), lengthMs * 1.025 - span);
    this.showsAll = span >= lengthMs * 0.999 && start >= -lengthMs * 0.026;
    this.from = this.showsAll ? 0 : start;
    this.to = this.showsAll ? lengthMs : start + span;
    this.#onChange();
  }

  showAll() {
    this.show(0, this.#recording.lengthMs);
  }

  showStart() {
    this.show(0, this.span);
  }

  showEnd() {
    const { lengthMs } = this.#recording;
    this.show(lengthMs - this.span, lengthMs);
  }

  // Shows a time in the middle, unless the range (ms) is visible in part.
  reveal(from, to) {
    if (to >= this.from && from <= this.to) return;
    const middle = Math.min((from + to) / 2, from + this.span / 2);
    this.show(middle - this.span / 2, middle + this.span / 2);
  }

  // Shows a range (ms) in almost the full width.
  fit(from, to) {
    const margin = Math.max((to - from) * 0.1, MIN_SPAN_MS);
    this.show(from - margin, to + margin);
  }

  // factor: less than 1 zooms in. centre: the time (ms) that keeps its position; default: the middle.
  zoom(factor, centre = this.from + this.span / 2) {
    this.show(centre - (centre - this.from) * factor, centre + (this.to - centre) * factor);
  }

  zoomIn() {
    this.zoom(ZOOM_STEP);
  }

  zoomOut() {
    this.zoom(1 / ZOOM_STEP);
  }

  // share: of the visible range; positive moves to the right, negative to the left.
  move(share) {
    this.show(this.from + this.span * share, this.to + this.span * share);
  }

  // Adapts to a recording that has grown from previousLength (ms): a range that reaches its end goes along with it.
  // Returns whether the visible data may have changed.
  followGrowth(previousLength) {
    const { lengthMs, isInProgress } = this.#recording;
    const growth = lengthMs - previousLength;
    if (this.showsAll) this.to = lengthMs;
    else if (growth > 0 && this.to >= previousLength) [this.from, this.to] = [this.from + growth, this.to + growth];
    else return this.to >= previousLength * 0.98 && isInProgress;
    return growth !== 0;
  }

  // Returns the x position of a time on a canvas of this width; both are in pixels.
  x(ms, width) {
    return ((ms - this.from) / this.span) * width;
  }

  timeAt(x, width) {
    return this.from + (x / width) * this.span;
  }
}
