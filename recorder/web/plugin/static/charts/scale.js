// Scales of axes: where a value is drawn, and which values get a tick.

const STEPS = [1, 2, 5, 10];
const TIMES = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]; // in seconds

// A linear scale from min to max. at(): the position of a value. ticks(): at most `most` round values, or round times.
export function linear(min, max, from, to) {
  const length = max - min || 1;
  return {
    at: (value) => from + ((value - min) / length) * (to - from),
    ticks: (most, isTime = false) => {
      const rough = (length / most) * 0.999;
      const magnitude = 10 ** Math.floor(Math.log10(rough));
      const time = isTime && rough > 5 ? TIMES.find((each) => each >= rough) : undefined;
      const step = time ?? magnitude * STEPS.find((each) => each * magnitude >= rough);
      const first = Math.ceil(min / step);
      const count = Math.floor((max - first * step) / step + 1e-9) + 1;
      return Array.from({ length: Math.max(count, 0) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
    },
  };
}

// A logarithmic scale, for values above 0. Its ticks are powers of ten.
export function logarithmic(min, max, from, to) {
  const low = Math.floor(Math.log10(min));
  const high = Math.max(Math.ceil(Math.log10(max)), low + 1);
  return {
    at: (value) => from + ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (to - from),
    ticks: (most) => {
      const step = Math.ceil((high - low) / most);
      return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, index) => 10 ** (low + index * step));
    },
  };
}
