// The tooltip that describes the process under the mouse.

import { bytes, duration, printable } from "./format.js";
import { OUTCOMES } from "./recording.js";

const LOST = OUTCOMES.indexOf("lost");

function endText(bar) {
  if (bar.signal !== null) return "signal " + bar.signal + (bar.core_dumped ? " (core dumped)" : "");
  return bar.exit_code !== null ? "exit " + bar.exit_code : OUTCOMES[bar.outcome];
}

function describe(bar) {
  const lifetime = bar.outcome === LOST ? "lifetime unknown" : duration(bar.end_ms - bar.start_ms);
  const lines = [
    printable(bar.args || bar.comm || "?"),
    printable(bar.comm || "?") + ", pid " + bar.pid + ", parent " + bar.ppid + ", user " + bar.uid,
    endText(bar) + ", " + lifetime + ", started at " + duration(bar.start_ms),
  ];
  lines.push(...costLines(bar));
  return lines.join("\n");
}

// Lines with what a process cost, as far as that is known.
function costLines(bar) {
  const lines = [];
  if (bar.cpu_ms !== null) {
    const isSplit = bar.user_ms !== null && bar.system_ms !== null;
    const split = isSplit ? " (user " + duration(bar.user_ms) + ", system " + duration(bar.system_ms) + ")" : "";
    lines.push("CPU " + duration(bar.cpu_ms) + split);
  }
  if (bar.run_delay_ms !== null) lines.push("waited " + duration(bar.run_delay_ms) + " for a processor");
  if (bar.read_bytes !== null && bar.write_bytes !== null)
    lines.push("read " + bytes(bar.read_bytes) + ", wrote " + bytes(bar.write_bytes));
  if (bar.max_rss_kib !== null) lines.push("peak memory " + (bar.max_rss_kib / 1024).toFixed(1) + " MiB");
  return lines;
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
