// The timeline: draws what the server sends for a stretch of time, and asks again when another is looked at. This
// module connects the parts; each part is a module in the folder timeline.

import { stretchIn, writeAddress } from "./timeline/address.js";
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

const MARGIN = 0.5; // how much more than what is seen is asked for, on either side

const byId = (id) => document.getElementById(id);
const root = byId("webpf-timeline");
const stateLine = byId("wt-state");

const recording = new Recording(Number(root.dataset.length));
const view = new View(recording, () => {
  draw();
  requests.wantWindowSoon();
});
const chart = new Chart(byId("wt-main"), recording, view);
const overview = new Overview(byId("wt-overview"), recording, view);
const filters = new Filters(root.querySelector("form"), () => requests.wantWindowSoon());
const readers = { window: readWindow, overview: readOverview, choices: readChoices }; // in the order of their urgency
const requests = new Requests(root.dataset.path, readers, {
  onTrouble: sayTrouble,
  onIdle: () => refresher.schedule(),
});
const refresher = new Refresher(recording, requests);
let colours = readColours(root);

function draw() {
  chart.draw(colours, filters.isSearching);
  overview.draw(colours);
}

// Asks for more than is seen, so that there is something to draw when the view is moved.
async function readWindow(get) {
  writeAddress(view, filters);
  const margin = view.followsAll ? 0 : view.span * MARGIN;
  const stretch = { from: view.from - margin, to: view.to + margin };
  const width = Math.round(chart.width * ((stretch.to - stretch.from) / view.span));
  const query = new URLSearchParams({ ...stretch, width });
  filters.writeTo(query);
  recording.setPicture(await get(query), stretch);
  sayWhatIsShown();
  draw();
}

// The recording may have grown: what is seen is asked for again, as long as the end is in view.
async function readOverview(get, signal) {
  const before = recording.lengthMs;
  try {
    recording.setSummary(await get(new URLSearchParams()));
    filters.countResidents(recording.summary.residents);
  } finally {
    if (!signal.aborted) {
      if (recording.picture) sayWhatIsShown();
      if (view.growFrom(before)) requests.wantNext("window");
      draw();
    }
  }
}

async function readChoices(get) {
  filters.offer(await get(new URLSearchParams()));
}

function sayWhatIsShown() {
  stateLine.textContent = statusText(recording, view, requests.troubles);
  root.dataset.ready = "1";
}

// name: of what can't be read.
function sayTrouble(name) {
  if (recording.picture && name !== "window") sayWhatIsShown();
  else stateLine.textContent = requests.troubles[name];
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
  requests.wantWindowSoon();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = readColours(root);
  draw();
});

const query = new URLSearchParams(location.search);
const stretch = stretchIn(query);
filters.readFrom(query);
if (stretch) view.show(...stretch);
else view.showAll();
requests.want("window", "overview", "choices");
