// The main canvas: draws the axis, the short processes and the bars of the view, and finds the bar at a position.

import { AXIS_HEIGHT, drawAxis } from "./axis.js";
import { drawBars, laneHeightFor, outlineBar } from "./bars.js";
import { clearCanvas } from "./canvas.js";
import { STRIP_HEIGHT, drawShortProcesses } from "./short_processes.js";

const MIN_HEIGHT = 400; // pixels
const BARS_TOP = AXIS_HEIGHT + STRIP_HEIGHT + 6;
const SLACK = 2; // pixels beside a bar that count as part of it

export class Chart {
  hovered = null; // the bar under the mouse
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

  // highlights: whether a search is active.
  draw(colours, highlights) {
    const { windowData } = this.#recording;
    const lanes = windowData ? windowData.lanes : 0;
    const laneHeight = laneHeightFor(lanes);
    const height = Math.max(MIN_HEIGHT, BARS_TOP + lanes * laneHeight + 6);
    const [context, width] = clearCanvas(this.#canvas, height);
    drawAxis(context, this.#view, width, height, colours);
    if (!windowData) return;
    drawShortProcesses(context, this.#recording, this.#view, { top: AXIS_HEIGHT, width, colours });
    const layout = { top: BARS_TOP, laneHeight, width, colours };
    drawBars(context, windowData.bars, this.#view, { ...layout, highlights });
    if (this.hovered) outlineBar(context, this.hovered, this.#view, layout);
  }

  // Returns the time under the mouse, in ms.
  timeAt(event) {
    return this.#view.timeAt(event.offsetX, this.width);
  }

  // Returns the bar under the mouse; null if there is none.
  barAt(event) {
    const { windowData } = this.#recording;
    if (!windowData) return null;
    const lane = Math.floor((event.offsetY - BARS_TOP) / laneHeightFor(windowData.lanes));
    const slack = (this.#view.span / this.width) * SLACK;
    const time = this.timeAt(event);
    const contains = (bar) => bar.lane === lane && bar.start_ms - slack <= time && time <= bar.end_ms + slack;
    return windowData.bars.find(contains) || null;
  }
}
