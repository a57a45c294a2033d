// The strip at the top: how many processes are alive over the whole recording, and which stretch of it is looked at.

import { clearCanvas, drawLabel } from "./canvas.js";
import { duration } from "./format.js";

const HEIGHT = 56; // pixels
const CLICK = 4; // pixels; if the mouse moves farther, it selects

export class Overview {
  #canvas;
  #recording;
  #view;
  #selectedFrom = null; // ms, where a selection began

  constructor(canvas, recording, view) {
    this.#canvas = canvas;
    this.#recording = recording;
    this.#view = view;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#select(event));
    canvas.addEventListener("pointerup", (event) => this.#end(event));
  }

  draw(colours) {
    const [pen, width] = clearCanvas(this.#canvas, HEIGHT);
    if (!this.#recording.summary) return;
    this.#drawAlive(pen, width, colours);
    this.#drawView(pen, width, colours);
  }

  #drawAlive(pen, width, colours) {
    const { alive, length_ms: length } = this.#recording.summary;
    const most = Math.ceil(Math.max(1, ...alive));
    pen.fillStyle = colours.ok;
    pen.globalAlpha = 0.55;
    alive.forEach((count, i) => {
      const high = (count / most) * (HEIGHT - 8);
      pen.fillRect((i / alive.length) * width, HEIGHT - high, width / alive.length + 0.6, high);
    });
    drawLabel(pen, "alive: up to " + most.toLocaleString() + " in " + duration(length), 9, colours);
  }

  #drawView(pen, width, colours) {
    const { length_ms: length } = this.#recording.summary;
    const [x, end] = [(this.#view.from / length) * width, (this.#view.to / length) * width];
    pen.fillStyle = colours.ink;
    pen.globalAlpha = 0.18;
    pen.fillRect(0, 0, Math.max(x, 0), HEIGHT);
    pen.fillRect(end, 0, Math.max(width - end, 0), HEIGHT);
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.ink;
    const left = Math.max(x, 0);
    pen.strokeRect(left + 0.5, 0.5, Math.max(Math.min(end, width) - left - 1, 2), HEIGHT - 1);
  }

  #timeAt(event) {
    return (event.offsetX / this.#canvas.clientWidth) * this.#recording.lengthMs;
  }

  #isClick(here) {
    return Math.abs(here - this.#selectedFrom) * this.#canvas.clientWidth <= CLICK * this.#recording.lengthMs;
  }

  #begin(event) {
    this.#selectedFrom = this.#timeAt(event);
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #select(event) {
    if (this.#selectedFrom === null) return;
    const here = this.#timeAt(event);
    if (!this.#isClick(here)) this.#view.show(Math.min(here, this.#selectedFrom), Math.max(here, this.#selectedFrom));
  }

  // A click puts what is looked at around that time.
  #end(event) {
    const here = this.#timeAt(event);
    const { span, followsAll } = this.#view;
    const isClick = this.#selectedFrom !== null && this.#isClick(here);
    if (isClick && !followsAll) this.#view.show(here - span / 2, here + span / 2);
    this.#selectedFrom = null;
  }
}
