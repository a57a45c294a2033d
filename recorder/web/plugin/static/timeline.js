// The timeline page: requests the data for what is shown, draws it, and requests it again when that changes. This
// module connects the modules in the folder timeline.

import { Address, readAddress } from "./timeline/address.js";
import { readColours } from "./timeline/canvas.js";
import { Chart } from "./timeline/chart.js";
import { Clock, TimeChoice } from "./timeline/clock.js";
import { CriticalPath } from "./timeline/critical_path.js";
import { Filters } from "./timeline/filters.js";
import { listenToKeys } from "./timeline/keyboard.js";
import { Overview } from "./timeline/overview.js";
import { Palette } from "./timeline/palette.js";
import { Pane } from "./timeline/pane.js";
import { Pointer } from "./timeline/pointer.js";
import { Recording } from "./timeline/recording.js";
import { Refresher } from "./timeline/refresher.js";
import { Requests } from "./timeline/requests.js";
import { Search } from "./timeline/search.js";
import { Selection } from "./timeline/selection.js";
import { statusText } from "./timeline/status.js";
import { Tooltip } from "./timeline/tooltip.js";
import { Updaters } from "./timeline/updaters.js";
import { View } from "./timeline/view.js";

const byId = (id) => document.getElementById(id);
const root = byId("webpf-timeline");
const stateLine = byId("wt-state");
const { path: dataPath, length, begin, zone, offset } = root.dataset;

const recording = new Recording(Number(length));
const clock = new Clock(Number(begin), zone, Number(offset));
const view = new View(recording, () => {
  draw();
  requests.requestWindowSoon();
});
const selection = new Selection(followSelection);
const filters = new Filters(root.querySelector("form"), followFilters, (isBack) => search.step(isBack));
const palette = new Palette(byId("wt-colour"), byId("wt-legend"), redisplay);
const times = new TimeChoice(byId("wt-time"), clock, redisplay);
const criticalPath = new CriticalPath(byId("wt-path"), () => {
  if (!criticalPath.sections) requests.request("path");
  redisplay();
});
const parts = [filters, palette, times, criticalPath]; // what the URL holds, besides view and selection
const chart = new Chart(byId("wt-main"), recording, view, criticalPath, selection);
const overview = new Overview(byId("wt-overview"), recording, view, clock);
const address = new Address(restore);
const search = new Search(byId("wt-found"), filters, selection, () => requests.request("match"));
const pane = new Pane(byId("wt-pane"), selection, clock, fitSelection);
const model = { recording, view, selection, filters, palette, criticalPath, chart, search, address, parts, pane };
const updaters = new Updaters(model, { draw, showStatus, enqueue: (name) => requests.enqueue(name) });
const requests = new Requests(dataPath, updaters.byName, { onError: showError, onIdle: () => refresher.schedule() });
const refresher = new Refresher(recording, requests, selection, criticalPath);
let colours = readColours(root);

function draw() {
  pane.draw(requests.errors[selection.stretch ? "stretch" : "process"]);
  const colourOf = palette.colourOf(colours);
  const style = { colours, colourOf, marksFailures: !palette.byOutcome, clock: times.clock };
  chart.draw({ ...style, highlights: filters.isSearching });
  overview.draw(colours);
}

// What is selected has changed. name: process, stretch or tree.
function followSelection(name) {
  const data = name === "tree" ? "window" : name;
  requests.errors[data] = "";
  address.write(view, selection, parts);
  if (selection[name] !== null || name === "tree") requests.request(data);
  if (name === "tree" && selection.stretch) requests.request("stretch");
  draw();
}

function followFilters() {
  search.clear();
  requests.requestWindowSoon();
  if (selection.stretch) requests.request("stretch");
}

function redisplay() {
  address.write(view, selection, parts);
  draw();
}

// Shows what a URL's query says.
function restore(query) {
  const wanted = readAddress(query);
  parts.forEach((part) => part.readFrom(query));
  selection.restore(wanted);
  if (wanted.range) view.show(...wanted.range);
  else view.showAll();
  requests.request("window");
  if (wanted.process !== null) requests.request("process");
  if (wanted.stretch) requests.request("stretch");
  if (criticalPath.isOn && !criticalPath.sections) requests.request("path");
}

function fitSelection() {
  const { stretch, details } = selection;
  if (stretch) view.fit(...stretch);
  else if (details) view.fit(details.start_ms, details.end_ms);
  else selection.fits = selection.process !== null;
}

function toggleTree() {
  if (selection.process !== null && selection.tree !== selection.process) selection.showTree(selection.process);
  else if (selection.tree !== null) selection.showTree(null);
}

function showStatus() {
  stateLine.textContent = statusText(recording, view, requests.errors, selection.tree);
  root.dataset.ready = "1";
}

// name: of the data that can't be read.
function showError(name) {
  if (recording.windowData && name !== "window") showStatus();
  else stateLine.textContent = requests.errors[name];
  draw();
}

const sumUpView = () => selection.selectStretch([view.from, view.to]);
new Pointer(byId("wt-main"), chart, view, new Tooltip(byId("wt-tip")), {
  redraw: draw,
  select: (id) => selection.selectProcess(id),
  fit: fitSelection,
  sumUp: (stretch) => selection.selectStretch(stretch),
});
listenToKeys(view, filters, {
  n: () => search.step(false), N: () => search.step(true), f: fitSelection, t: toggleTree, m: sumUpView,
  Escape: () => selection.close(),
});
const buttons = {
  in: () => view.zoomIn(), out: () => view.zoomOut(), all: () => view.showAll(), sum: sumUpView,
  next: () => search.step(false), previous: () => search.step(true),
};
for (const [id, act] of Object.entries(buttons)) byId("wt-" + id).addEventListener("click", act);
byId("wt-recording").addEventListener("input", (event) => (location.href = event.target.value));
byId("wt-scroll").addEventListener("scroll", draw);
window.addEventListener("resize", () => {
  draw();
  requests.requestWindowSoon();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = readColours(root);
  draw();
});

restore(new URLSearchParams(location.search));
requests.request("overview", "choices");
