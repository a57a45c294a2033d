// Makes elements of the pane. All text is set as text, never as HTML: any user can choose the names of processes.

import { printable } from "./format.js";
import { endText, hasFailed } from "./process_text.js";

// children: elements and strings.
export function element(name, { className = "", ...properties } = {}, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

export function button(text, title, onClick) {
  const made = element("button", { type: "button", title }, text);
  made.addEventListener("click", onClick);
  return made;
}

// Returns a list of terms. rows: pairs of a name and a text or element; those whose text is null are left out.
export function terms(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined);
  return element("dl", {}, ...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

// Returns a button that selects a process. process: an entry of the server's lists.
export function processButton(process, select) {
  const text = printable(process.title || process.comm || "?");
  const made = button(text, "pid " + process.pid, () => select(process.id));
  made.classList.add("wt-process");
  if (!hasFailed(process)) return made;
  return element("span", {}, made, element("span", { className: "wt-bad" }, " " + endText(process)));
}

// Returns a list of such buttons. total: how many there are, if not all are listed.
export function processList(processes, total, select) {
  const items = processes.map((process) => element("li", {}, processButton(process, select)));
  const rest = total - processes.length;
  if (rest > 0) items.push(element("li", {}, "and " + rest.toLocaleString() + " more"));
  return element("ul", { className: "wt-list" }, ...items);
}
