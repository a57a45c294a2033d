// Draws the processes that are long enough as bars in lanes.

import { hasFailed } from "./process_text.js";

export const LANE_HEIGHT = 18; // pixels, including the gap below a bar

const MIN_TITLE_WIDTH = 34; // pixels; narrower bars have no title
const MARK_HEIGHT = 3;

// layout: top (of the first lane), clip and bottom (of what is visible), width, colours. style: colourOf (a function
// from a bar to its colour), marksFailures, and highlights: whether a search is active; it dims other processes.
export function drawBars(context, bars, view, layout, { colourOf, marksFailures, highlights }) {
  const { width, colours } = layout;
  for (const bar of bars) {
    const y = layout.top + bar.lane * LANE_HEIGHT;
    if (y > layout.bottom || y + LANE_HEIGHT < layout.clip) continue;
    const x = Math.max(view.x(bar.start_ms, width), -2);
    const end = Math.min(view.x(bar.end_ms, width), width + 2);
    if (end < 0 || x > width) continue;
    const barWidth = Math.max(end - x, 1);
    const isMarked = marksFailures && hasFailed(bar);
    context.globalAlpha = highlights && !bar.is_match ? 0.2 : 1;
    context.fillStyle = colourOf(bar);
    context.fillRect(x, y, barWidth, LANE_HEIGHT - 1);
    if (barWidth > MIN_TITLE_WIDTH) drawTitle(context, (isMarked ? "✗ " : "") + bar.title, x, y, barWidth);
    if (isMarked) fillMark(context, colours.failed, x, y + LANE_HEIGHT - 1 - MARK_HEIGHT, barWidth);
    if (highlights && bar.is_match) fillMark(context, colours.mark, x, y + LANE_HEIGHT - MARK_HEIGHT, barWidth);
  }
  context.globalAlpha = 1;
}

function fillMark(context, colour, x, y, width) {
  context.fillStyle = colour;
  context.fillRect(x, y, width, MARK_HEIGHT);
}

// Draws a title into a bar, in white: the colours of bars are dark enough for it.
export function drawTitle(context, title, x, y, barWidth) {
  context.fillStyle = "#fff";
  context.save();
  context.beginPath();
  context.rect(x, y, barWidth - 2, LANE_HEIGHT);
  context.clip();
  context.fillText(title, Math.max(x, 0) + 4, y + LANE_HEIGHT / 2);
  context.restore();
}

// Draws a frame around a bar.
export function outlineBar(context, bar, view, { top, width, colours }, lineWidth = 1) {
  context.strokeStyle = colours.ink;
  context.lineWidth = lineWidth;
  const x = view.x(bar.start_ms, width);
  const barWidth = Math.max(view.x(bar.end_ms, width) - x, 1);
  context.strokeRect(x, top + bar.lane * LANE_HEIGHT, barWidth, LANE_HEIGHT - 1);
  context.lineWidth = 1;
}
