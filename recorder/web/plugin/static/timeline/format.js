// Formats durations, sizes and untrusted names.

export function duration(ms) {
  const size = Math.abs(ms);
  if (size >= 3600e3) return (ms / 3600e3).toFixed(2) + " h";
  if (size >= 60e3) return (ms / 60e3).toFixed(2) + " min";
  if (size >= 1e3) return (ms / 1e3).toFixed(3) + " s";
  if (size >= 1) return ms.toFixed(3) + " ms";
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
