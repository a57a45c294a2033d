// The large canvas: axis, counts and bars of what is looked at, and which bar is where.

import { AXIS_HEIGHT, drawAxis } from "./axis.js";
import { drawBars, laneHeight, outlineBar } from "./bars.js";
import { clearCanvas } from "./canvas.js";
import { STRIP_HEIGHT, drawShortProcesses } from "./short_processes.js";

const LEAST_HEIGHT = 400; // pixels
const BARS_TOP = AXIS_HEIGHT + STRIP_HEIGHT + 6;
const SLACK = 2; // pixels beside a bar that still count as it

export class Chart {
  hovered = null; // the bar below the mouse
  #canvas;
  #recording;
  #view;

  constructor(canvas, recording, view) {
    this.#canvas = canvas;
    this.#recording = recording;
    this.#view = view;
  }

  get width() {
    return this.#canvas.clientWidth;
  }

  // highlights: whether a search is on.
  draw(colours, highlights) {
    const { picture } = this.#recording;
    const lanes = picture ? picture.lanes : 0;
    const lane = laneHeight(lanes);
    const height = Math.max(LEAST_HEIGHT, BARS_TOP + lanes * lane + 6);
    const [pen, width] = clearCanvas(this.#canvas, height);
    drawAxis(pen, this.#view, width, height, colours);
    if (!picture) return;
    drawShortProcesses(pen, this.#recording, this.#view, { top: AXIS_HEIGHT, width, colours });
    const layout = { top: BARS_TOP, lane, width, colours };
    drawBars(pen, picture.bars, this.#view, { ...layout, highlights });
    if (this.hovered) outlineBar(pen, this.hovered, this.#view, layout);
  }

  // The time below the mouse, in ms.
  timeAt(event) {
    return this.#view.timeAt(event.offsetX, this.width);
  }

  // The bar below the mouse; null where there is none.
  barAt(event) {
    const { picture } = this.#recording;
    if (!picture) return null;
    const lane = Math.floor((event.offsetY - BARS_TOP) / laneHeight(picture.lanes));
    const slack = (this.#view.span / this.width) * SLACK;
    const time = this.timeAt(event);
    const isThere = (bar) => bar.lane === lane && bar.start_ms - slack <= time && time <= bar.end_ms + slack;
    return picture.bars.find(isThere) || null;
  }
}
