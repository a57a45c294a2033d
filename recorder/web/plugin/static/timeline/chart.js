// The main canvas: draws the axis, the short processes and the bars of the view, and finds what is at a position. The
// canvas is as high as the window allows; the lanes scroll below the axis.

import { AXIS_HEIGHT, drawAxis } from "./axis.js";
import { LANE_HEIGHT, drawBars, outlineBar } from "./bars.js";
import { clearCanvas } from "./canvas.js";
import { ROW_HEIGHT } from "./critical_path.js";
import { drawSelectedProcess, drawStretch } from "./marks.js";
import { STRIP_HEIGHT, drawShortProcesses, shortProcessesAt } from "./short_processes.js";

const MIN_HEIGHT = 240; // pixels
const GAP = 6;
const SLACK = 2; // pixels beside a bar that count as part of it

export class Chart {
  hovered = null; // the bar under the mouse
  dragged = null; // the stretch of time that is being dragged: [from, to] in ms
  #canvas;
  #scroller;
  #recording;
  #view;
  #path;
  #selection;

  constructor(canvas, recording, view, path, selection) {
    this.#canvas = canvas;
    this.#scroller = canvas.parentElement.parentElement;
    this.#recording = recording;
    this.#view = view;
    this.#path = path;
    this.#selection = selection;
  }

  get width() {
    return this.#canvas.clientWidth;
  }

  // The height of the part above the lanes, which doesn't scroll: axis, strip and critical path.
  get headHeight() {
    return AXIS_HEIGHT + STRIP_HEIGHT + GAP + (this.#path.isOn ? ROW_HEIGHT : 0);
  }

  get #lanesTop() {
    return this.headHeight - this.#scroller.scrollTop;
  }

  // style: see drawBars(), with colours, clock (see drawAxis()).
  draw(style) {
    const { windowData } = this.#recording;
    const content = this.headHeight + (windowData ? windowData.lanes : 0) * LANE_HEIGHT + GAP;
    this.#canvas.parentElement.style.height = Math.max(content, MIN_HEIGHT) + "px";
    const height = this.#scroller.clientHeight;
    const [context, width] = clearCanvas(this.#canvas, height);
    drawAxis(context, this.#view, width, height, style);
    if (!windowData) return;
    this.#drawHead(context, width, style);
    this.#drawLanes(context, { width, bottom: height, ...style });
    drawStretch(context, this.#view, this.dragged || this.#selection.stretch, { width, height, ...style });
    drawSelectedProcess(context, this.#view, this.#selection.details, { width, height, ...style });
  }

  #drawHead(context, width, { colours, marksFailures }) {
    const strip = { top: AXIS_HEIGHT, width, colours, byOutcome: !marksFailures };
    drawShortProcesses(context, this.#recording, this.#view, strip);
    const row = { y: AXIS_HEIGHT + STRIP_HEIGHT + GAP, width, colours };
    if (this.#path.isOn) this.#path.drawRow(context, this.#view, row);
  }

  #drawLanes(context, style) {
    const { bars } = this.#recording.windowData;
    const layout = { ...style, top: this.#lanesTop, clip: this.headHeight };
    context.save();
    context.beginPath();
    context.rect(0, this.headHeight - 1, style.width, style.bottom);
    context.clip();
    drawBars(context, bars, this.#view, layout, style);
    if (this.#path.isOn) this.#path.drawOverBars(context, bars, this.#view, layout);
    if (this.hovered) outlineBar(context, this.hovered, this.#view, layout);
    const selected = this.#barOf(this.#selection.process);
    if (selected) outlineBar(context, selected, this.#view, layout, 3);
    context.restore();
  }

  #barOf(id) {
    const { windowData } = this.#recording;
    return windowData && id !== null ? windowData.bars.find((bar) => bar.id === id) : undefined;
  }

  // Scrolls the lanes, and the page, so that the bar of a process is visible above the pane, if it has one.
  // visibleHeight: of the window above the pane.
  scrollTo(id, visibleHeight) {
    const bar = this.#barOf(id);
    if (!bar) return;
    const [height, y] = [this.#scroller.clientHeight, this.#lanesTop + bar.lane * LANE_HEIGHT];
    if (y < this.headHeight || y + LANE_HEIGHT > height)
      this.#scroller.scrollTop = bar.lane * LANE_HEIGHT - (height - this.headHeight) / 2;
    const bottom = this.#canvas.getBoundingClientRect().top + this.#lanesTop + (bar.lane + 1) * LANE_HEIGHT;
    if (bottom > visibleHeight) window.scrollBy(0, bottom - visibleHeight + LANE_HEIGHT);
  }

  scrollBy(pixels) {
    this.#scroller.scrollTop += pixels;
  }

  isInHead(event) {
    return event.offsetY < this.headHeight;
  }

  // Returns the time under the mouse, in ms.
  timeAt(event) {
    return this.#view.timeAt(event.offsetX, this.width);
  }

  // Returns the bar under the mouse; null if there is none.
  barAt(event) {
    const { windowData } = this.#recording;
    if (!windowData || this.isInHead(event)) return null;
    const lane = Math.floor((event.offsetY - this.#lanesTop) / LANE_HEIGHT);
    const slack = (this.#view.span / this.width) * SLACK;
    const time = this.timeAt(event);
    const contains = (bar) => bar.lane === lane && bar.start_ms - slack <= time && time <= bar.end_ms + slack;
    return windowData.bars.find(contains) || null;
  }

  // Returns the column of short processes under the mouse (see shortProcessesAt()); null if there is none.
  shortAt(event) {
    const isInStrip = event.offsetY >= AXIS_HEIGHT && event.offsetY < AXIS_HEIGHT + STRIP_HEIGHT;
    return isInStrip && this.#recording.windowData ? shortProcessesAt(this.#recording, this.timeAt(event)) : null;
  }

  // Returns the id of the process under the mouse, also in the row of the critical path; null if there is none.
  processAt(event) {
    const bar = this.barAt(event);
    const isInRow = this.#path.isOn && this.isInHead(event) && event.offsetY >= AXIS_HEIGHT + STRIP_HEIGHT;
    const found = bar || (isInRow && this.#path.sectionAt(this.timeAt(event)));
    return found ? found.id : null;
  }
}
