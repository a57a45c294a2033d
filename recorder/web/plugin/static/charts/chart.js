// A chart of some series over one axis, as SVG. A pointer over it, or the arrow keys, show the values at a place.
//
// A spec has: title; href, of the page with the numbers, or none; x: { values, labels, isLog, tick }, values being
// seconds unless isLog, labels what is shown of each, and tick a function; top, the highest value of the other axis, or
// none; describe, a function of a value; series: { name, values, style } each, style being one of bars, steps and
// dashed, and name also its class.

import { html, svg } from "./elements.js";
import { linear, logarithmic } from "./scale.js";

const LEFT = 44;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const MIN_BAR = 2; // pixels
let charts = 0;

export class Chart {
  #spec;
  #index = null; // of the value that the cursor is at
  #svg;
  #cursor;
  #readout;
  #caption;
  #scale;

  constructor(parent, spec) {
    const id = `webpf-chart-${(charts += 1)}`;
    this.#caption = html("figcaption", { id });
    this.#svg = svg("svg", { role: "img", tabindex: 0, "aria-labelledby": id, "aria-describedby": `${id}-values` });
    this.#readout = html("p", { id: `${id}-values`, class: "webpf-readout", "aria-live": "polite" });
    parent.append(html("figure", { class: "webpf-chart" }, this.#caption, this.#svg, this.#readout));
    this.#svg.addEventListener("pointermove", (event) => this.#moveTo(this.#nearest(event)));
    this.#svg.addEventListener("pointerdown", (event) => this.#moveTo(this.#nearest(event)));
    this.#svg.addEventListener("pointerleave", () => this.#moveTo(null));
    this.#svg.addEventListener("blur", () => this.#moveTo(null));
    this.#svg.addEventListener("keydown", (event) => this.#press(event));
    this.update(spec);
    new ResizeObserver(() => this.#draw()).observe(this.#svg);
  }

  update(spec) {
    this.#spec = spec;
    const title = spec.href ? html("a", { href: spec.href }, spec.title) : spec.title;
    const keys = spec.series.map(({ name }) => html("span", { class: `webpf-key webpf-${name}` }, name));
    this.#caption.replaceChildren(title, ...(keys.length > 1 ? keys : []));
    this.#draw();
  }

  #draw() {
    const { x, series, top } = this.#spec;
    const width = Math.max(this.#svg.clientWidth, 120);
    const height = Math.max(this.#svg.clientHeight, 60);
    const highest = top ?? (Math.max(...series.flatMap(({ values }) => values)) || 1);
    const across = x.isLog ? logarithmic : linear;
    const first = x.isLog ? x.values.find((value) => value > 0) ?? 1 : x.values[0];
    const end = this.#end();
    this.#scale = { x: across(first, end, LEFT, width - RIGHT), y: linear(0, highest, height - BOTTOM, TOP) };
    this.#cursor = svg("line", { class: "webpf-cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.replaceChildren(...this.#axes(width, height), ...series.map((each) => this.#line(each)), this.#cursor);
    this.#moveTo(this.#index !== null && this.#index < x.values.length ? this.#index : null);
  }

  // Where the last step ends.
  #end() {
    const { values, isLog } = this.#spec.x;
    const last = values.at(-1);
    return isLog || values.length < 2 ? last + (values.length < 2) : last + (last - values.at(-2));
  }

  #axes(width, height) {
    const { x, describe } = this.#spec;
    const bottom = height - BOTTOM;
    const across = this.#scale.y.ticks(3).map((value) => {
      const y = this.#scale.y.at(value);
      const text = svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, describe(value));
      return svg("g", {}, svg("line", { class: "webpf-grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }), text);
    });
    const along = this.#scale.x.ticks(Math.max(Math.floor(width / 90), 2), !x.isLog).map((value) => {
      const at = this.#scale.x.at(value);
      return svg("text", { x: at, y: bottom + 16, "text-anchor": at > width - 40 ? "end" : "middle" }, x.tick(value));
    });
    return [...across, ...along];
  }

  #line({ name, values, style }) {
    const { x, y } = this.#scale;
    const places = [...this.#spec.x.values, this.#end()].map((value) => x.at(value));
    const bottom = y.at(0);
    if (style === "bars") {
      const bars = values.map((value, index) => {
        if (!value) return "";
        const width = Math.max(places[index + 1] - places[index], MIN_BAR);
        return `M${places[index].toFixed(1)} ${bottom}V${y.at(value).toFixed(1)}h${width.toFixed(1)}V${bottom}z`;
      });
      return svg("path", { class: `webpf-line webpf-bars webpf-${name}`, d: bars.join("") });
    }
    const steps = values.map((value, index) => `V${y.at(value).toFixed(1)}H${places[index + 1].toFixed(1)}`);
    const d = `M${places[0].toFixed(1)} ${y.at(values[0] ?? 0).toFixed(1)}${steps.join("")}`;
    return svg("path", { class: `webpf-line webpf-${style} webpf-${name}`, d });
  }

  #nearest(event) {
    const at = event.clientX - this.#svg.getBoundingClientRect().left;
    const places = this.#spec.x.values.map((value) => this.#scale.x.at(value));
    const next = places.findIndex((place) => place > at);
    return next === -1 ? places.length - 1 : Math.max(next - 1, 0);
  }

  #press(event) {
    const last = this.#spec.x.values.length - 1;
    const from = this.#index ?? -1;
    const moves = { ArrowRight: from + 1, ArrowLeft: Math.max(from, 1) - 1, Home: 0, End: last, Escape: null };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#moveTo(moves[event.key] === null ? null : Math.min(moves[event.key], last));
  }

  // Shows the values at an index; null: the highest ones.
  #moveTo(index) {
    const { x, series, describe } = this.#spec;
    this.#index = index;
    this.#cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
    const place = index === null ? 0 : this.#scale.x.at(x.values[index]);
    this.#cursor.setAttribute("x1", place);
    this.#cursor.setAttribute("x2", place);
    const at = (values) => describe(index === null ? Math.max(0, ...values) : values[index]);
    const texts = series.map(({ name, values }) => `${name} ${at(values)}`);
    this.#readout.textContent = `${index === null ? "at most" : x.labels[index]}: ${texts.join(", ")}`;
  }
}
