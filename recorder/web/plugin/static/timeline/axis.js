// The time axis: vertical lines at round times, with labels.

export const AXIS_HEIGHT = 22; // pixels, for the labels at the top

const MIN_STEP_WIDTH = 90; // pixels between two lines
const LONG_STEPS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200]; // s
const HOUR_MS = 3600e3;
const DAY_MS = 24 * HOUR_MS;

// Returns the time between two lines, in ms: a round number.
function chooseStep(span, width) {
  const minStep = (span * MIN_STEP_WIDTH) / width;
  for (let power = 1e-4; power < 1e4; power *= 10)
    for (const digit of [1, 2, 5]) if (digit * power >= minStep) return digit * power;
  for (const seconds of LONG_STEPS) if (seconds * 1e3 >= minStep) return seconds * 1e3;
  return Math.ceil(minStep / DAY_MS) * DAY_MS;
}

// Formats a time with as many decimals as the step needs.
function timeText(ms, step) {
  if (step >= 1e3) return clockText(Math.round(ms / 1e3));
  if (step >= 1) return (ms / 1e3).toFixed(step >= 100 ? 1 : step >= 10 ? 2 : 3) + " s";
  return ms.toFixed(step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3) + " ms";
}

// Formats 3725 as 1:02:05.
function clockText(seconds) {
  const whole = Math.abs(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return (seconds < 0 ? "-" : "") + (h ? h + ":" + two(m) : m) + ":" + two(s);
}

// Formats a time as the machine's clock showed it, with as many digits as the step needs.
function localText(clock, ms, step) {
  if (step >= DAY_MS) return clock.date(ms);
  return clock.time(ms, step >= 1e3 ? 0 : Math.min(Math.ceil(-Math.log10(step / 1e3)), 6));
}

// Yields the times of the lines, in ms. With a clock, they stand at round local times, also after it is put forward or
// back; except those of an hour and less, which then stay as far apart.
function* lines(view, step, clock) {
  const shiftAt = (ms) => (clock ? clock.localMs(ms) - ms : 0);
  const shift = shiftAt(view.from);
  for (let local = Math.ceil((view.from + shift) / step) * step; ; local += step) {
    const ms = local - (step > HOUR_MS ? shiftAt(local - shift) : shift);
    if (ms > view.to) return;
    yield ms;
  }
}

// clock: shows local times (see Clock); null: times since 0.
export function drawAxis(context, view, width, height, { colours, clock }) {
  const step = chooseStep(view.span, width);
  context.strokeStyle = colours.faint;
  context.fillStyle = colours.ink;
  context.beginPath();
  for (const ms of lines(view, step, clock)) {
    const x = Math.round(view.x(ms, width)) + 0.5;
    context.moveTo(x, AXIS_HEIGHT - 6);
    context.lineTo(x, height);
    context.fillText(clock ? localText(clock, ms, step) : timeText(ms, step), x + 3, 9);
  }
  context.stroke();
}
