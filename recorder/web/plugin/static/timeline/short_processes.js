// The strip below the axis: the number of processes that are too short for a bar, by pixel column and outcome.

import { drawLabel } from "./canvas.js";
import { OUTCOMES } from "./recording.js";

export const STRIP_HEIGHT = 46; // pixels

// Returns a map of column -> counts by outcome. short: from window.json, triples of column, outcome and count.
function countsByColumn(short) {
  const counts = new Map();
  for (const [column, outcome, count] of short) {
    if (!counts.has(column)) counts.set(column, OUTCOMES.map(() => 0));
    counts.get(column)[outcome] += count;
  }
  return counts;
}

// Returns what the column at a time counts: { stretch: [from, to] in ms, counts by outcome }; null if nothing.
export function shortProcessesAt({ windowData, windowRange }, time) {
  const columnMs = (windowRange.to - windowRange.from) / windowData.columns;
  const column = Math.floor((time - windowRange.from) / columnMs);
  const counts = countsByColumn(windowData.short.filter(([each]) => each === column)).get(column);
  const from = windowRange.from + column * columnMs;
  return counts ? { stretch: [from, from + columnMs], counts } : null;
}

// top: the top of the strip, in pixels. byOutcome: colours them all by outcome; else only those that failed.
export function drawShortProcesses(context, recording, view, { top, width, colours, byOutcome }) {
  const { windowData, windowRange } = recording;
  const counts = countsByColumn(windowData.short);
  let maxCount = 1;
  for (const column of counts.values()) maxCount = Math.max(maxCount, column.reduce((a, b) => a + b));
  const columnMs = (windowRange.to - windowRange.from) / windowData.columns;
  for (const [column, countsByOutcome] of counts) {
    const x = view.x(windowRange.from + column * columnMs, width);
    const barWidth = Math.max(view.x(windowRange.from + (column + 1) * columnMs, width) - x, 1);
    let y = top + STRIP_HEIGHT;
    countsByOutcome.forEach((count, outcome) => {
      if (!count) return;
      const barHeight = Math.max((count / maxCount) * (STRIP_HEIGHT - 4), 1);
      const name = OUTCOMES[outcome];
      context.fillStyle = colours[byOutcome || name === "failed" || name === "signalled" ? name : "lost"];
      context.fillRect(x, y - barHeight, barWidth, barHeight);
      y -= barHeight;
    });
  }
  context.globalAlpha = 1;
  if (!counts.size) return;
  drawLabel(context, "too short for a bar: up to " + maxCount.toLocaleString() + " per column", top + 8, colours);
}
