// Steps through what the search and the filters find, also through what is too short for a bar.

export class Search {
  #pending = null; // whether the next step goes back; null: there is none
  #text;
  #filters;
  #selection;
  #onStep;

  // text: the element that says which of how many is selected. onStep: called to request the step.
  constructor(text, filters, selection, onStep) {
    this.#text = text;
    this.#filters = filters;
    this.#selection = selection;
    this.#onStep = onStep;
  }

  step(isBack) {
    this.#pending = isBack;
    this.#onStep();
  }

  clear() {
    this.#text.textContent = "";
  }

  // get: sends a query for match.json. range: the visible one.
  async update(get, range) {
    if (this.#pending === null) return;
    const query = new URLSearchParams({ ...range, width: 1 });
    this.#filters.writeTo(query);
    const { process, tree } = this.#selection;
    if (tree !== null) query.set("tree", tree);
    if (process !== null) query.set("after", process);
    if (this.#pending) query.set("back", "1");
    const { id, number, total } = await get(query);
    this.#pending = null;
    if (id !== null) this.#selection.selectProcess(id);
    this.#text.textContent = id === null ? "nothing found" : number.toLocaleString() + " of " + total.toLocaleString();
  }
}
