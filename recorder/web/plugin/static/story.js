// The story at the top of a database's page: what was recorded and how that ended, with its charts.

import { Chart } from "./charts/chart.js";
import { html } from "./charts/elements.js";
import { cores, failures, starts } from "./charts/specs.js";
import { follow } from "./refresh.js";

const SPECS = { rate: [starts, failures], cores: [cores] }; // by the query whose rows they show
const section = document.getElementById("webpf-story");
const told = document.getElementById("webpf-told");
const state = document.getElementById("webpf-state");
const charts = new Map();

const LONG = 5e3; // ms

if (section) follow(load);
document.getElementById("webpf-recording")?.addEventListener("input", ({ target }) => (location.href = target.value));

async function load() {
  const timer = setTimeout(offerLess, LONG);
  try {
    const response = await fetch(section.dataset.path);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error || `the server answered ${response.status}`);
    show(answer);
    return answer.isInProgress;
  } catch (error) {
    state.textContent = `The story can't be read: ${error.message}`;
    if (told.childElementCount > 0) throw error;
    offerLess();
    return false;
  } finally {
    clearTimeout(timer);
  }
}

// A day of a large chain takes long.
function offerLess() {
  const { shorter } = section.dataset;
  if (shorter && told.childElementCount === 0 && !state.querySelector("a")) {
    state.append(" ", html("a", { href: shorter }, "The latest recording of the chain alone is quicker."));
  }
}

function show(answer) {
  if (!told.contains(document.activeElement) && told.dataset.html !== answer.html) {
    told.innerHTML = answer.html; // the server has escaped it
    told.dataset.html = answer.html;
  }
  for (const { query, path, columns, rows } of answer.charts) {
    const named = rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
    if (named.length > 0) SPECS[query].forEach((make) => draw(make, { ...make(named), href: path }));
  }
  state.textContent = answer.isInProgress ? "The recording goes on: this page follows it." : "";
  section.dataset.ready = "1";
}

function draw(make, spec) {
  const chart = charts.get(make);
  if (chart) chart.update(spec);
  else charts.set(make, new Chart(document.getElementById("webpf-charts"), spec));
}
