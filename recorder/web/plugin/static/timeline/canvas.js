// Shared by both canvases: the colours of the style sheet, a drawing context in CSS pixels, and labels.

import { COLOURS, OUTCOMES } from "./recording.js";

// Returns an element's colours from timeline.css, by name. They depend on the colour scheme.
export function readColours(element) {
  const style = getComputedStyle(element);
  const numbered = Array.from({ length: COLOURS }, (_, index) => "c" + index);
  const names = [...OUTCOMES, ...numbered, "ink", "faint", "ground", "mark", "path"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

// Clears the canvas and sets its height. Returns its context and its width. All sizes are in CSS pixels.
export function clearCanvas(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  return [context, width];
}

// Draws text on a rectangle in the background colour. y: the middle of the text. x: its left edge.
export function drawLabel(context, text, y, colours, x = 6) {
  context.globalAlpha = 0.85;
  context.fillStyle = colours.ground;
  context.fillRect(x - 3, y - 7, context.measureText(text).width + 6, 14);
  context.globalAlpha = 1;
  context.fillStyle = colours.ink;
  context.fillText(text, x, y);
}
