// Formats durations, times, sizes and untrusted names.

export function duration(ms) {
  if (ms < 0) return "-" + duration(-ms);
  const seconds = Math.round(ms / 1e3);
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return Math.floor(minutes / 60) + " h " + (minutes % 60) + " min";
  if (ms >= 60e3) return minutes + " min " + (seconds % 60) + " s";
  return precise(ms);
}

// A time since a beginning, to the millisecond at least.
export function elapsed(ms) {
  if (ms < 0) return "-" + elapsed(-ms);
  const minutes = Math.floor(Math.round(ms) / 60e3);
  if (minutes === 0) return precise(ms);
  const seconds = ((Math.round(ms) - minutes * 60e3) / 1e3).toFixed(3) + " s";
  return (minutes >= 60 ? Math.floor(minutes / 60) + " h " : "") + (minutes % 60) + " min " + seconds;
}

function precise(ms) {
  if (ms >= 1e3) return (ms / 1e3).toFixed(3) + " s";
  if (ms >= 1) return ms.toFixed(3) + " ms";
  return (ms * 1e3).toFixed(1) + " µs";
}

export function bytes(number) {
  if (number < 1024) return number + " B";
  if (number < 1024 ** 2) return (number / 1024).toFixed(0) + " KiB";
  return number < 1024 ** 3 ? (number / 1024 ** 2).toFixed(1) + " MiB" : (number / 1024 ** 3).toFixed(2) + " GiB";
}

// Any user can choose the names of processes. Control characters and marks of text direction are shown as dots.
export function printable(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "·");
}
