// Durations and untrusted names as text.

export function duration(ms) {
  const size = Math.abs(ms);
  if (size >= 3600e3) return (ms / 3600e3).toFixed(2) + " h";
  if (size >= 60e3) return (ms / 60e3).toFixed(2) + " min";
  if (size >= 1e3) return (ms / 1e3).toFixed(3) + " s";
  if (size >= 1) return ms.toFixed(3) + " ms";
  return (ms * 1e3).toFixed(1) + " µs";
}

// Names are anybody's text: what would move the cursor or turn the direction of writing is shown as a dot.
export function printable(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "·");
}
