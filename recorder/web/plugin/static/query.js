// The page of a saved query: the chart of its rows above their table. While a recording is in progress, both follow it.

import { Chart } from "./charts/chart.js";
import { html } from "./charts/elements.js";
import { SPECS } from "./charts/specs.js";
import { readRows } from "./charts/table.js";
import { follow } from "./refresh.js";

const TABLE = "table.rows-and-columns";
const parent = document.getElementById("webpf-query");
const spec = SPECS[parent?.dataset.query];
let chart = null;
let choice = null; // a list of what can be chosen, if the query has several charts

if (parent) {
  draw();
  if (parent.dataset.inProgress) setTimeout(() => follow(load), 2e3);
}

function draw() {
  const rows = readRows(document.querySelector(TABLE));
  if (!spec || rows.length === 0 || !spec.columns.every((name) => name in rows[0])) return;
  const made = spec.make(spec.choice ? chosen(rows) : rows);
  // The page's table ends there.
  if (rows.length >= parent.dataset.mostRows) made.title += ` (the first ${rows.length.toLocaleString("en")} rows)`;
  if (chart) chart.update(made);
  else chart = new Chart(parent, made);
  parent.dataset.ready = "1";
}

function chosen(rows) {
  const names = [...new Set(rows.map((row) => String(row[spec.choice])))];
  if (!choice) {
    choice = html("select", {});
    choice.addEventListener("change", draw);
    parent.append(html("label", { class: "webpf-choice" }, "Name ", choice));
  }
  const before = choice.value;
  if (names.join() !== Array.from(choice.options, (option) => option.value).join()) {
    choice.replaceChildren(...names.map((name) => html("option", { value: name }, name)));
    if (names.includes(before)) choice.value = before;
  }
  return rows.filter((row) => String(row[spec.choice]) === choice.value);
}

// Reads the page again, and takes its table.
async function load() {
  const response = await fetch(location.href);
  if (!response.ok) throw new Error(response.statusText);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const table = document.querySelector(TABLE);
  const fresh = page.querySelector(TABLE);
  const isUsed = table?.contains(document.activeElement) || !getSelection().isCollapsed;
  if (table && fresh && !isUsed) {
    table.replaceWith(document.adoptNode(fresh));
    draw();
  }
  return Boolean(page.getElementById("webpf-query")?.dataset.inProgress);
}
