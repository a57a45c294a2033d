// The timeline page: requests the data for the visible time range, draws it, and requests it again when the range
// changes. This module connects the modules in the folder timeline.

import { readRange, writeAddress } from "./timeline/address.js";
import { readColours } from "./timeline/canvas.js";
import { Chart } from "./timeline/chart.js";
import { Filters } from "./timeline/filters.js";
import { listenToKeys } from "./timeline/keyboard.js";
import { Overview } from "./timeline/overview.js";
import { listenToPointer } from "./timeline/pointer.js";
import { Recording } from "./timeline/recording.js";
import { Refresher } from "./timeline/refresher.js";
import { Requests } from "./timeline/requests.js";
import { statusText } from "./timeline/status.js";
import { Tooltip } from "./timeline/tooltip.js";
import { View } from "./timeline/view.js";

const MARGIN = 0.5; // share of the visible range that is requested in addition, on each side

const byId = (id) => document.getElementById(id);
const root = byId("webpf-timeline");
const stateLine = byId("wt-state");

const recording = new Recording(Number(root.dataset.length));
const view = new View(recording, () => {
  draw();
  requests.requestWindowSoon();
});
const chart = new Chart(byId("wt-main"), recording, view);
const overview = new Overview(byId("wt-overview"), recording, view);
const filters = new Filters(root.querySelector("form"), () => requests.requestWindowSoon());
const updaters = { window: updateWindow, overview: updateOverview, choices: updateChoices }; // the most urgent first
const requests = new Requests(root.dataset.path, updaters, {
  onError: showError,
  onIdle: () => refresher.schedule(),
});
const refresher = new Refresher(recording, requests);
let colours = readColours(root);

function draw() {
  chart.draw(colours, filters.isSearching);
  overview.draw(colours);
}

// Requests more than the visible range, so that there is something to draw when the view is moved.
async function updateWindow(get) {
  writeAddress(view, filters);
  const margin = view.showsAll ? 0 : view.span * MARGIN;
  const range = { from: view.from - margin, to: view.to + margin };
  const width = Math.round(chart.width * ((range.to - range.from) / view.span));
  const query = new URLSearchParams({ ...range, width });
  filters.writeTo(query);
  recording.setWindow(await get(query), range);
  showStatus();
  draw();
}

// If the recording has grown and its end is visible, this also requests the window again.
async function updateOverview(get, signal) {
  const previousLength = recording.lengthMs;
  try {
    recording.setSummary(await get(new URLSearchParams()));
    filters.setResidentsCount(recording.summary.residents);
  } finally {
    if (!signal.aborted) {
      if (recording.windowData) showStatus();
      if (view.followGrowth(previousLength)) requests.enqueue("window");
      draw();
    }
  }
}

async function updateChoices(get) {
  filters.setChoices(await get(new URLSearchParams()));
}

function showStatus() {
  stateLine.textContent = statusText(recording, view, requests.errors);
  root.dataset.ready = "1";
}

// name: of the data that can't be read.
function showError(name) {
  if (recording.windowData && name !== "window") showStatus();
  else stateLine.textContent = requests.errors[name];
}

listenToPointer(byId("wt-main"), chart, view, new Tooltip(byId("wt-tip")), {
  redraw: draw,
  open: (bar) => (location.href = root.dataset.rows + "/" + bar.id),
});
listenToKeys(view, filters);
byId("wt-in").addEventListener("click", () => view.zoomIn());
byId("wt-out").addEventListener("click", () => view.zoomOut());
byId("wt-all").addEventListener("click", () => view.showAll());
window.addEventListener("resize", () => {
  draw();
  requests.requestWindowSoon();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = readColours(root);
  draw();
});

const query = new URLSearchParams(location.search);
const range = readRange(query);
filters.readFrom(query);
if (range) view.show(...range);
else view.showAll();
requests.request("window", "overview", "choices");
