// The tooltip that describes what is under the mouse.

import { elapsed, printable } from "./format.js";
import { cpuText, delayText, endText, lifetimeText, peakText, storageText } from "./process_text.js";
import { OUTCOMES } from "./recording.js";

export function describeBar(bar) {
  const costs = [
    ["CPU ", cpuText(bar)],
    ["waited ", delayText(bar)],
    ["", storageText(bar)],
    ["peak memory ", peakText(bar)],
  ];
  return [
    printable(bar.args || bar.comm || "?"),
    printable(bar.comm || "?") + ", pid " + bar.pid + ", parent " + bar.ppid + ", user " + bar.uid,
    endText(bar) + ", " + lifetimeText(bar) + ", started at " + elapsed(bar.start_ms),
    ...costs.filter(([, text]) => text !== null).map(([name, text]) => name + text),
  ].join("\n");
}

// column: see shortProcessesAt().
export function describeShort({ counts }) {
  const parts = counts.map((count, outcome) => count && count.toLocaleString() + " " + OUTCOMES[outcome]);
  return "too short for a bar: " + parts.filter(Boolean).join(", ") + "\nClick to sum up";
}

export class Tooltip {
  #element;

  constructor(element) {
    this.#element = element;
  }

  // Shows a text beside the mouse, within the window.
  show(text, event) {
    const tip = this.#element;
    tip.hidden = false;
    tip.textContent = text;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
  }

  hide() {
    this.#element.hidden = true;
  }
}
