// The critical path of the recording: the sections that decided how long it took, in a row and on the bars.

import { LANE_HEIGHT, drawTitle } from "./bars.js";

export const ROW_HEIGHT = LANE_HEIGHT + 6; // pixels
const MIN_TITLE_WIDTH = 34;
const LINE = 4;

export class CriticalPath {
  sections = null; // from path.json
  #checkbox;

  constructor(checkbox, onChange) {
    this.#checkbox = checkbox;
    checkbox.addEventListener("input", onChange);
  }

  get isOn() {
    return this.#checkbox.checked;
  }

  readFrom(query) {
    this.#checkbox.checked = query.has("path");
  }

  writeTo(query) {
    if (this.isOn) query.set("path", "1");
  }

  // Returns the section at a time, in ms; undefined if there is none.
  sectionAt(time) {
    return (this.sections || []).find((each) => each.start_ms <= time && time <= each.end_ms);
  }

  // Draws the row: the process that decided, at each time. y: the top of the row.
  drawRow(context, view, { y, width, colours }) {
    for (const section of this.sections || []) {
      const x = Math.max(view.x(section.start_ms, width), -2);
      const end = Math.min(view.x(section.end_ms, width), width + 2);
      if (end < 0 || x > width) continue;
      context.fillStyle = colours.path;
      context.fillRect(x, y, Math.max(end - x - 1, 1), LANE_HEIGHT - 1);
      if (end - x > MIN_TITLE_WIDTH) drawTitle(context, section.title, x, y, end - x);
    }
  }

  // Draws the path over the bars, from lane to lane. Where a process has no bar, it goes on at the next one.
  drawOverBars(context, bars, view, { top, width, colours }) {
    const lanes = new Map(bars.map((bar) => [bar.id, bar.lane]));
    context.strokeStyle = colours.path;
    context.lineWidth = LINE;
    context.beginPath();
    let isBegun = false;
    for (const { id, start_ms: start, end_ms: end } of this.sections || []) {
      if (!lanes.has(id) || end < view.from || start > view.to) continue;
      const y = top + lanes.get(id) * LANE_HEIGHT + LANE_HEIGHT - 1 - LINE / 2;
      if (isBegun) context.lineTo(view.x(start, width), y);
      else context.moveTo(view.x(start, width), y);
      context.lineTo(view.x(end, width), y);
      isBegun = true;
    }
    context.stroke();
    context.lineWidth = 1;
  }
}
