// What both canvases need: the colours of the style sheet, a context in CSS pixels, and labels.

import { OUTCOMES } from "./recording.js";

// The colours that timeline.css gives this element, by name. They change with the colour scheme.
export function readColours(element) {
  const style = getComputedStyle(element);
  const names = [...OUTCOMES, "ink", "faint", "ground", "mark"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

// Clears the canvas and makes it this high. Returns its context and its width, all in CSS pixels.
export function clearCanvas(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return [pen, width];
}

// Text at the left edge, on a rectangle in the colour of the ground. y: its middle.
export function drawLabel(pen, text, y, colours) {
  pen.globalAlpha = 0.75;
  pen.fillStyle = colours.ground;
  pen.fillRect(3, y - 7, pen.measureText(text).width + 6, 14);
  pen.globalAlpha = 1;
  pen.fillStyle = colours.ink;
  pen.fillText(text, 6, y);
}
