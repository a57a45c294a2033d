// The pane at the bottom: the details of the selected process, or the sums over a stretch of time.

import { describeProcess } from "./details.js";
import { button, element } from "./elements.js";
import { printable } from "./format.js";
import { describeSums } from "./sums.js";

export class Pane {
  #element;
  #selection;
  #clock;
  #fit;
  #shown = null; // what is shown, as text: unchanged, the pane keeps its scroll position and the focus

  // fit: shows the selection in the full width.
  constructor(element, selection, clock, fit) {
    this.#element = element;
    this.#selection = selection;
    this.#clock = clock;
    this.#fit = fit;
  }

  // The height of the window that it leaves free.
  get top() {
    return this.#element.hidden ? innerHeight : this.#element.getBoundingClientRect().top;
  }

  // error: why the data can't be read; "" if it can.
  draw(error) {
    const { process, stretch, details, sums, tree } = this.#selection;
    const isOpen = process !== null || stretch !== null;
    const data = stretch ? sums : details;
    const shown = JSON.stringify([process, stretch, data, tree, error]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#element.hidden = !isOpen;
    this.#element.parentElement.classList.toggle("wt-open", isOpen);
    if (!isOpen) return this.#element.replaceChildren();
    const scrolled = this.#element.scrollTop;
    this.#element.replaceChildren(this.#head(), ...this.#body(data, error));
    this.#element.scrollTop = scrolled;
  }

  #head() {
    const { process, details, stretch, tree } = this.#selection;
    const showTree = (id) => this.#selection.showTree(id);
    const title = stretch ? "Sums over a stretch of time" : details ? printable(details.title) : "Process " + process;
    const buttons = [button("Zoom to it", "zoom to it (f)", this.#fit)];
    const only = "show only this process and all that it started (t)";
    if (!stretch && tree !== process) buttons.push(button("This tree only", only, () => showTree(process)));
    if (tree !== null) buttons.push(button("All trees", "show all processes again", () => showTree(null)));
    buttons.push(button("Close", "close (Esc)", () => this.#selection.close()));
    return element("header", {}, element("h2", {}, title), element("span", { className: "wt-buttons" }, ...buttons));
  }

  #body(data, error) {
    if (error) return [element("p", { className: "wt-bad" }, "It " + error)];
    if (!data) return [element("p", {}, "loading")];
    const select = (id) => this.#selection.selectProcess(id);
    return this.#selection.stretch
      ? describeSums(data, this.#clock, select)
      : describeProcess(data, this.#clock, select);
  }
}
