// The details of the selected process, for the pane.

import { element, processButton, processList, terms } from "./elements.js";
import { elapsed, printable } from "./format.js";
import {
  cpuText, delayText, endText, hasFailed, lifetimeText, peakText, sleepText, storageText,
} from "./process_text.js";
import { OUTCOMES } from "./recording.js";

const RUNNING = OUTCOMES.indexOf("running");
const LOST = OUTCOMES.indexOf("lost");

// Returns elements. clock: see Clock. select: called with the id of the parent or child that is clicked.
export function describeProcess(process, clock, select) {
  const moment = (ms) => elapsed(ms) + " (" + clock.text(ms) + ")";
  const isOver = process.outcome !== RUNNING && process.outcome !== LOST;
  const { parent, children, children_total: total } = process;
  const facts = terms([
    ["outcome", element("span", { className: hasFailed(process) ? "wt-bad" : "" }, endText(process))],
    ["lifetime", lifetimeText(process)],
    ["started", moment(process.start_ms)],
    ["ended", isOver ? moment(process.end_ms) : null],
    ["CPU", cpuText(process)],
    ["waited", delayText(process)],
    ["asleep", sleepText(process)],
    ["peak memory", peakText(process)],
    ["storage", storageText(process)],
    ["directory", process.directory === null ? null : printable(process.directory)],
    ["process", "pid " + process.pid + ", user " + (process.uid === null ? "unknown" : process.uid)],
  ]);
  const family = terms([
    ["parent", parent ? processButton(parent, select) : "pid " + process.ppid + ", not in this recording"],
    ["children", total ? processList(children, total, select) : "none"],
    ["programs", process.programs && process.programs.length ? programList(process.programs) : null],
    ["more", linkList(process.links)],
  ]);
  const line = printable(process.args || process.comm || "?");
  const command = element("pre", { className: "wt-command", tabIndex: 0 }, line);
  return [command, element("div", { className: "wt-columns" }, facts, family)];
}

function programList(programs) {
  const after = (ms) => (ms === null ? "before the recording: " : "after " + elapsed(ms) + ": ");
  return element("ol", { className: "wt-list" }, ...programs.map(({ line, after_ms: ms }) =>
    element("li", {}, after(ms), element("code", {}, printable(line)))));
}

function linkList(links) {
  return element("span", {}, ...links.flatMap(({ href, label }) => [element("a", { href }, label), " "]));
}
