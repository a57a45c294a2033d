// Draws what is selected over the chart: a stretch of time, and the place of a process.

import { drawLabel } from "./canvas.js";
import { duration } from "./format.js";

const PIN = 6; // pixels

// stretch: [from, to] in ms; null: none.
export function drawStretch(context, view, stretch, { width, height, colours }) {
  if (!stretch) return;
  const [x, end] = stretch.map((ms) => view.x(ms, width));
  context.fillStyle = colours.ink;
  context.globalAlpha = 0.12;
  context.fillRect(x, 0, end - x, height);
  context.globalAlpha = 1;
  drawLines(context, [x, end], height, colours);
  const text = duration(stretch[1] - stretch[0]);
  drawLabel(context, text, 32, colours, (x + end - context.measureText(text).width) / 2);
}

// Draws a pin at the start of a process that is too short for a bar, and lines at start and end of the others.
export function drawSelectedProcess(context, view, process, { width, height, colours }) {
  if (!process) return;
  const [x, end] = [process.start_ms, process.end_ms].map((ms) => view.x(ms, width));
  context.globalAlpha = 0.6;
  drawLines(context, end - x < 1 ? [x] : [x, end], height, colours);
  context.globalAlpha = 1;
  context.fillStyle = colours.ink;
  context.beginPath();
  context.moveTo(x - PIN, 0);
  context.lineTo(x + PIN, 0);
  context.lineTo(x, 2 * PIN);
  context.fill();
}

function drawLines(context, positions, height, colours) {
  context.strokeStyle = colours.ink;
  context.setLineDash([3, 3]);
  context.beginPath();
  for (const x of positions) {
    context.moveTo(Math.round(x) + 0.5, 0);
    context.lineTo(Math.round(x) + 0.5, height);
  }
  context.stroke();
  context.setLineDash([]);
}
