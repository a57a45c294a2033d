// The strip below the axis: how many processes are too short for a bar, by column of pixels and outcome.

import { drawLabel } from "./canvas.js";
import { OUTCOMES } from "./recording.js";

export const STRIP_HEIGHT = 46; // pixels

// Counts of each outcome, by column. short: triples of column, outcome and count, as window.json has them.
function countsByColumn(short) {
  const counts = new Map();
  for (const [column, outcome, count] of short) {
    if (!counts.has(column)) counts.set(column, OUTCOMES.map(() => 0));
    counts.get(column)[outcome] += count;
  }
  return counts;
}

// top: where the strip begins, in pixels.
export function drawShortProcesses(pen, recording, view, { top, width, colours }) {
  const { picture, stretch } = recording;
  const counts = countsByColumn(picture.short);
  let most = 1;
  for (const column of counts.values()) most = Math.max(most, column.reduce((a, b) => a + b));
  const size = (stretch.to - stretch.from) / picture.columns;
  for (const [column, each] of counts) {
    const x = view.x(stretch.from + column * size, width);
    const wide = Math.max(view.x(stretch.from + (column + 1) * size, width) - x, 1);
    let y = top + STRIP_HEIGHT;
    each.forEach((count, outcome) => {
      if (!count) return;
      const high = Math.max((count / most) * (STRIP_HEIGHT - 4), 1);
      pen.fillStyle = colours[OUTCOMES[outcome]];
      pen.fillRect(x, y - high, wide, high);
      y -= high;
    });
  }
  pen.globalAlpha = 1;
  if (!counts.size) return;
  drawLabel(pen, "too short for a bar: up to " + most.toLocaleString() + " a column", top + 8, colours);
}
