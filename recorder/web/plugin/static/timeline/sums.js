// The sums over a stretch of time, for the pane.

import { element, processList, terms } from "./elements.js";
import { duration, elapsed, printable } from "./format.js";

const count = (number) => number.toLocaleString();

// Returns elements. clock: see Clock. select: called with the id of the process that is clicked.
export function describeSums(sums, clock, select) {
  if (!sums.length_ms) return [element("p", {}, "Nothing is recorded in this stretch of time.")];
  const cpus = sums.cpus ? " of " + sums.cpus : "";
  const facts = terms([
    ["stretch", duration(sums.length_ms) + ", from " + elapsed(sums.from_ms) + " (" + clock.text(sums.from_ms) + ")"],
    ["processes", count(sums.alive) + ": " + count(sums.started) + " started in it, " + count(sums.ended) + " ended"],
    ["alive", sums.mean_alive.toFixed(1) + " on average"],
    ["CPU", "about " + duration(sums.cpu_ms) + (sums.unknown ? ", not known of " + count(sums.unknown) : "")],
    ["cores busy", "about " + sums.cores_busy.toFixed(2) + cpus],
    ["failures", sums.failures ? processList(sums.failed, sums.failures, select) : "none"],
  ]);
  return [element("div", { className: "wt-columns" }, facts, programTable(sums)), note()];
}

function programTable({ programs, programs_total: total }) {
  const row = (name, cells) =>
    element("tr", {}, ...cells.map((text, i) => element(name, { className: i ? "wt-number" : "" }, text)));
  const rows = programs.map((each) => row("td", [
    printable(each.comm || "?"), count(each.alive), duration(each.cpu_ms), count(each.failures),
  ]));
  if (total > programs.length) rows.push(row("td", ["and " + count(total - programs.length) + " more", "", "", ""]));
  const head = element("thead", {}, row("th", ["program", "processes", "CPU", "failures"]));
  return element("table", { className: "wt-programs" }, head, element("tbody", {}, ...rows));
}

function note() {
  const text = "What a process used in the stretch is estimated: as if it used its CPU time evenly over its life. " +
    "The filters above hold for these sums too.";
  return element("p", { className: "wt-note" }, text);
}
