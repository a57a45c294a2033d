// The strip at the top: the number of living processes over the whole recording, and the range that the view shows.

import { clearCanvas, drawLabel } from "./canvas.js";
import { duration } from "./format.js";

const HEIGHT = 56; // pixels
const CLICK_DISTANCE = 4; // pixels; if the mouse moves farther, it selects a range

export class Overview {
  #canvas;
  #recording;
  #view;
  #clock;
  #selectedFrom = null; // ms, the start of a selection; null while there is none

  constructor(canvas, recording, view, clock) {
    this.#canvas = canvas;
    this.#recording = recording;
    this.#view = view;
    this.#clock = clock;
    canvas.addEventListener("pointerdown", (event) => this.#startSelection(event));
    canvas.addEventListener("pointermove", (event) => this.#extendSelection(event));
    canvas.addEventListener("pointerup", (event) => this.#endSelection(event));
  }

  draw(colours) {
    const [context, width] = clearCanvas(this.#canvas, HEIGHT);
    if (!this.#recording.summary) return;
    this.#drawAlive(context, width, colours);
    this.#drawView(context, width, colours);
  }

  #drawAlive(context, width, colours) {
    const { alive, length_ms: length } = this.#recording.summary;
    const maxCount = Math.ceil(Math.max(1, ...alive));
    context.fillStyle = colours.ok;
    context.globalAlpha = 0.55;
    alive.forEach((count, i) => {
      const barHeight = (count / maxCount) * (HEIGHT - 8);
      context.fillRect((i / alive.length) * width, HEIGHT - barHeight, width / alive.length + 0.6, barHeight);
    });
    const stretch = duration(length) + " from " + this.#clock.text(0);
    const text = "alive: up to " + maxCount.toLocaleString() + " in " + stretch;
    drawLabel(context, text, 9, colours);
  }

  #drawView(context, width, colours) {
    const { length_ms: length } = this.#recording.summary;
    const [x, end] = [(this.#view.from / length) * width, (this.#view.to / length) * width];
    context.fillStyle = colours.ink;
    context.globalAlpha = 0.18;
    context.fillRect(0, 0, Math.max(x, 0), HEIGHT);
    context.fillRect(end, 0, Math.max(width - end, 0), HEIGHT);
    context.globalAlpha = 1;
    context.strokeStyle = colours.ink;
    const left = Math.max(x, 0);
    context.strokeRect(left + 0.5, 0.5, Math.max(Math.min(end, width) - left - 1, 2), HEIGHT - 1);
  }

  #timeAt(event) {
    return (event.offsetX / this.#canvas.clientWidth) * this.#recording.lengthMs;
  }

  #isClick(time) {
    return Math.abs(time - this.#selectedFrom) * this.#canvas.clientWidth <= CLICK_DISTANCE * this.#recording.lengthMs;
  }

  #startSelection(event) {
    this.#selectedFrom = this.#timeAt(event);
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #extendSelection(event) {
    if (this.#selectedFrom === null) return;
    const time = this.#timeAt(event);
    if (!this.#isClick(time)) this.#view.show(Math.min(time, this.#selectedFrom), Math.max(time, this.#selectedFrom));
  }

  // A click centres the view on that time.
  #endSelection(event) {
    const time = this.#timeAt(event);
    const { span, showsAll } = this.#view;
    const isClick = this.#selectedFrom !== null && this.#isClick(time);
    if (isClick && !showsAll) this.#view.show(time - span / 2, time + span / 2);
    this.#selectedFrom = null;
  }
}
