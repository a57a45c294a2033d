// Bars: processes that are long enough for one, in lanes.

import { OUTCOMES } from "./recording.js";

const TITLE_LANE = 12; // pixels that a lane and a bar must have for a title
const TITLE_WIDTH = 34;

// Pixels from the top of one lane to the top of the next.
export function laneHeight(lanes) {
  return Math.max(5, Math.min(18, Math.floor(900 / Math.max(lanes, 1))));
}

// top: where the first lane begins. highlights: whether a search is on, which dims the others.
export function drawBars(pen, bars, view, { top, lane, width, colours, highlights }) {
  for (const bar of bars) {
    const x = Math.max(view.x(bar.start_ms, width), -2);
    const end = Math.min(view.x(bar.end_ms, width), width + 2);
    if (end < 0 || x > width) continue;
    const wide = Math.max(end - x, 1);
    const y = top + bar.lane * lane;
    pen.globalAlpha = highlights && !bar.is_match ? 0.2 : 1;
    pen.fillStyle = colours[OUTCOMES[bar.outcome]];
    pen.fillRect(x, y, wide, lane - 1);
    if (highlights && bar.is_match) {
      pen.fillStyle = colours.mark;
      pen.fillRect(x, y + lane - 3, wide, 2);
    }
    if (lane >= TITLE_LANE && wide > TITLE_WIDTH) drawTitle(pen, bar.title, { x, y, wide, lane });
  }
  pen.globalAlpha = 1;
}

function drawTitle(pen, title, { x, y, wide, lane }) {
  pen.fillStyle = "#fff";
  pen.save();
  pen.beginPath();
  pen.rect(x, y, wide - 2, lane);
  pen.clip();
  pen.fillText(title, Math.max(x, 0) + 4, y + lane / 2);
  pen.restore();
}

// A frame around the bar below the mouse.
export function outlineBar(pen, bar, view, { top, lane, width, colours }) {
  pen.strokeStyle = colours.ink;
  const x = view.x(bar.start_ms, width);
  pen.strokeRect(x, top + bar.lane * lane, Math.max(view.x(bar.end_ms, width) - x, 1), lane - 1);
}
