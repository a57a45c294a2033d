// The time axis: lines at round times, and what time it is there.

export const AXIS_HEIGHT = 22; // pixels, for the times at the top

const LABEL_WIDTH = 90; // pixels from one line to the next, at least
const LONG_STEPS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200]; // s
const DAY_MS = 86400e3;

// The time from one line to the next, in ms: a round number.
function stepFor(span, width) {
  const least = (span * LABEL_WIDTH) / width;
  for (let power = 1e-4; power < 1e4; power *= 10)
    for (const digit of [1, 2, 5]) if (digit * power >= least) return digit * power;
  for (const seconds of LONG_STEPS) if (seconds * 1e3 >= least) return seconds * 1e3;
  return Math.ceil(least / DAY_MS) * DAY_MS;
}

// A time as text, as exact as the step needs it.
function timeText(ms, step) {
  if (step >= 1e3) return clockText(Math.round(ms / 1e3));
  if (step >= 1) return (ms / 1e3).toFixed(step >= 100 ? 1 : step >= 10 ? 2 : 3) + " s";
  return ms.toFixed(step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3) + " ms";
}

// 3725 is 1:02:05.
function clockText(seconds) {
  const whole = Math.abs(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return (seconds < 0 ? "-" : "") + (h ? h + ":" + two(m) : m) + ":" + two(s);
}

export function drawAxis(pen, view, width, height, colours) {
  const step = stepFor(view.span, width);
  pen.strokeStyle = colours.faint;
  pen.fillStyle = colours.ink;
  pen.beginPath();
  for (let ms = Math.ceil(view.from / step) * step; ms <= view.to; ms += step) {
    const x = Math.round(view.x(ms, width)) + 0.5;
    pen.moveTo(x, AXIS_HEIGHT - 6);
    pen.lineTo(x, height);
    pen.fillText(timeText(ms, step), x + 3, 9);
  }
  pen.stroke();
}
