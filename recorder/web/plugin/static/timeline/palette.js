// The colours of bars: by outcome, by program or by user; and the legend that explains them.

import { element } from "./elements.js";
import { printable } from "./format.js";
import { COLOURS, OUTCOMES } from "./recording.js";

const FIELDS = { program: "comm", user: "uid" }; // of a bar

export class Palette {
  #select;
  #legend;
  #choices = { names: [], users: [] };

  constructor(select, legend, onChange) {
    this.#select = select;
    this.#legend = legend;
    select.addEventListener("input", () => {
      this.#drawLegend();
      onChange();
    });
  }

  get byOutcome() {
    return !FIELDS[this.#select.value];
  }

  readFrom(query) {
    const wanted = query.get("colour");
    this.#select.value = FIELDS[wanted] ? wanted : "outcome";
    this.#drawLegend();
  }

  writeTo(query) {
    if (!this.byOutcome) query.set("colour", this.#select.value);
  }

  // choices: from choices.json. The most frequent names and users get the first colours.
  setChoices(choices) {
    this.#choices = choices;
    this.#drawLegend();
  }

  get #values() {
    const counted = this.#select.value === "user" ? this.#choices.users : this.#choices.names;
    return counted.map(([value]) => value).slice(0, COLOURS);
  }

  // Returns a function from a bar to its colour. colours: see readColours().
  colourOf(colours) {
    if (this.byOutcome) return (bar) => colours[OUTCOMES[bar.outcome]];
    const field = FIELDS[this.#select.value];
    const found = new Map(this.#values.map((value, index) => [value, colours["c" + index]]));
    return (bar) => found.get(bar[field]) || colours.lost;
  }

  #drawLegend() {
    const keys = this.byOutcome ? OUTCOMES : this.#values;
    const entries = keys.map((value, index) => {
      const className = "wt-key wt-" + (this.byOutcome ? value : "c" + index);
      return element("span", { className }, value === null ? "unknown" : printable(String(value)));
    });
    if (!this.byOutcome) entries.push(element("span", { className: "wt-key wt-lost" }, "others; ✗ failed"));
    this.#legend.replaceChildren(...entries);
  }
}
