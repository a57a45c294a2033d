// The tooltip that describes the process under the mouse.

import { elapsed, printable } from "./format.js";
import { cpuText, delayText, endText, lifetimeText, peakText, storageText } from "./process_text.js";

function describe(bar) {
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

export class Tooltip {
  #element;

  constructor(element) {
    this.#element = element;
  }

  // Shows the tooltip beside the mouse, within the window; hides it if there is no bar.
  show(bar, event) {
    const tip = this.#element;
    tip.hidden = !bar;
    if (!bar) return;
    tip.textContent = describe(bar);
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
  }

  hide() {
    this.#element.hidden = true;
  }
}
