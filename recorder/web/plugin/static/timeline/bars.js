// Draws the processes that are long enough as bars in lanes.

import { OUTCOMES } from "./recording.js";

const MIN_TITLE_HEIGHT = 12; // pixels; smaller bars have no title
const MIN_TITLE_WIDTH = 34;

// Returns the height of a lane in pixels, including the gap below it.
export function laneHeightFor(lanes) {
  return Math.max(5, Math.min(18, Math.floor(900 / Math.max(lanes, 1))));
}

// top: the top of the first lane. highlights: whether a search is active; processes that don't match are dimmed.
export function drawBars(context, bars, view, { top, laneHeight, width, colours, highlights }) {
  for (const bar of bars) {
    const x = Math.max(view.x(bar.start_ms, width), -2);
    const end = Math.min(view.x(bar.end_ms, width), width + 2);
    if (end < 0 || x > width) continue;
    const barWidth = Math.max(end - x, 1);
    const y = top + bar.lane * laneHeight;
    context.globalAlpha = highlights && !bar.is_match ? 0.2 : 1;
    context.fillStyle = colours[OUTCOMES[bar.outcome]];
    context.fillRect(x, y, barWidth, laneHeight - 1);
    if (highlights && bar.is_match) {
      context.fillStyle = colours.mark;
      context.fillRect(x, y + laneHeight - 3, barWidth, 2);
    }
    if (laneHeight >= MIN_TITLE_HEIGHT && barWidth > MIN_TITLE_WIDTH)
      drawTitle(context, bar.title, { x, y, barWidth, laneHeight });
  }
  context.globalAlpha = 1;
}

function drawTitle(context, title, { x, y, barWidth, laneHeight }) {
  context.fillStyle = "#fff";
  context.save();
  context.beginPath();
  context.rect(x, y, barWidth - 2, laneHeight);
  context.clip();
  context.fillText(title, Math.max(x, 0) + 4, y + laneHeight / 2);
  context.restore();
}

// Draws a frame around a bar.
export function outlineBar(context, bar, view, { top, laneHeight, width, colours }) {
  context.strokeStyle = colours.ink;
  const x = view.x(bar.start_ms, width);
  context.strokeRect(x, top + bar.lane * laneHeight, Math.max(view.x(bar.end_ms, width) - x, 1), laneHeight - 1);
}
