// The mouse and fingers on the chart. Dragging moves the view; over the axis, or with Shift, it chooses a stretch of
// time. A click selects a process, or sums up a column of short ones. The wheel zooms with Ctrl or over the axis, and
// scrolls elsewhere. Two fingers zoom; up and down, one finger scrolls the page, which the browser does (timeline.css:
// touch-action).

import { describeBar, describeShort } from "./tooltip.js";

const DRAG_DISTANCE = 3; // pixels; if the mouse moves farther, it drags
const TOUCH_DISTANCE = 8;
const WHEEL = 1.0018; // zoom for each pixel that the wheel turns

export class Pointer {
  #canvas;
  #chart;
  #view;
  #tooltip;
  #actions;
  #drag = null;
  #fingers = new Map(); // x by the id of the pointer

  // actions: functions redraw (what is under the mouse has changed), select(id), fit and sumUp(stretch).
  constructor(canvas, chart, view, tooltip, actions) {
    this.#canvas = canvas;
    this.#chart = chart;
    this.#view = view;
    this.#tooltip = tooltip;
    this.#actions = actions;
    canvas.addEventListener("wheel", (event) => this.#turnWheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", (event) => this.#forget(event));
    canvas.addEventListener("pointerleave", () => this.#hover(null));
    canvas.addEventListener("dblclick", () => actions.fit());
  }

  #turnWheel(event) {
    const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const zooms = event.ctrlKey || event.metaKey || (this.#chart.isInHead(event) && !isSideways);
    if (!zooms && !isSideways) return; // the browser scrolls
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (zooms) this.#view.zoom(Math.pow(WHEEL, event.deltaY * pixels), this.#chart.timeAt(event));
    else this.#view.move(((event.deltaX || event.deltaY) * pixels) / this.#chart.width);
  }

  #press(event) {
    if (event.button > 0) return;
    this.#fingers.set(event.pointerId, event.clientX);
    const choosesStretch = event.shiftKey || this.#chart.isInHead(event);
    const { from, to } = this.#view;
    const distance = event.pointerType === "touch" ? TOUCH_DISTANCE : DRAG_DISTANCE;
    const time = this.#chart.timeAt(event);
    this.#drag = { x: event.clientX, y: event.clientY, from, to, moved: false, choosesStretch, time, distance };
    this.#canvas.setPointerCapture(event.pointerId);
    this.#canvas.focus({ preventScroll: true });
  }

  #move(event) {
    if (this.#fingers.size > 1 && this.#fingers.has(event.pointerId)) this.#pinch(event);
    else if (this.#drag) this.#dragTo(event);
    else if (event.pointerType !== "touch") this.#hover(event);
  }

  // Two fingers: the times below them stay there.
  #pinch(event) {
    const before = [...this.#fingers.values()];
    this.#fingers.set(event.pointerId, event.clientX);
    const after = [...this.#fingers.values()];
    const spread = ([a, b]) => Math.max(Math.abs(a - b), 20);
    const left = this.#canvas.getBoundingClientRect().left;
    const centre = this.#view.timeAt((before[0] + before[1]) / 2 - left, this.#chart.width);
    const moved = (after[0] + after[1] - before[0] - before[1]) / 2;
    this.#view.zoom(spread(before) / spread(after), centre);
    this.#view.move(-moved / this.#chart.width);
    this.#drag = null;
    this.#chart.dragged = null;
  }

  #dragTo(event) {
    const drag = this.#drag;
    const distance = drag.x - event.clientX;
    if (Math.abs(distance) > drag.distance || Math.abs(drag.y - event.clientY) > drag.distance) drag.moved = true;
    if (!drag.moved) return;
    this.#tooltip.hide();
    if (drag.choosesStretch) {
      this.#chart.dragged = [drag.time, this.#chart.timeAt(event)].sort((a, b) => a - b);
      this.#actions.redraw();
      return;
    }
    const shift = (distance / this.#chart.width) * (drag.to - drag.from);
    if (!this.#view.showsAll) this.#view.show(drag.from + shift, drag.to + shift);
    if (event.pointerType !== "touch") this.#chart.scrollBy(-event.movementY);
  }

  #release(event) {
    const drag = this.#drag;
    this.#forget(event);
    if (!drag) return;
    const stretch = this.#chart.dragged;
    this.#chart.dragged = null;
    if (stretch && stretch[0] < stretch[1]) return this.#actions.sumUp(stretch);
    if (drag.moved) return;
    const id = this.#chart.processAt(event);
    const short = this.#chart.shortAt(event);
    if (id === null && !short) return;
    this.#tooltip.hide(); // it would cover the pane
    if (short) this.#actions.sumUp(short.stretch);
    else this.#actions.select(id);
  }

  #forget(event) {
    this.#fingers.delete(event.pointerId);
    this.#drag = null;
  }

  // event: null when the mouse leaves.
  #hover(event) {
    const bar = event && this.#chart.barAt(event);
    this.#canvas.classList.toggle("wt-head", Boolean(event) && this.#chart.isInHead(event));
    if (bar !== this.#chart.hovered) {
      this.#chart.hovered = bar;
      this.#actions.redraw();
    }
    const short = event && !bar ? this.#chart.shortAt(event) : null;
    this.#canvas.classList.toggle("wt-over", Boolean(bar || short));
    if (bar) this.#tooltip.show(describeBar(bar), event);
    else if (short) this.#tooltip.show(describeShort(short), event);
    else this.#tooltip.hide();
  }
}
