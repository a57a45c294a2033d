// The form above the timeline: selects the processes that are shown, and those that a search highlights.

import { printable } from "./format.js";

export class Filters {
  #fields; // by their names in URL queries
  #residents;
  #residentsLabel;
  #onChange;

  // onStep: called at Enter in the search, with whether Shift is held.
  constructor(form, onChange, onStep) {
    const find = (name) => form.querySelector("#wt-" + name);
    this.#fields = { comm: find("comm"), uid: find("uid"), outcome: find("outcome"), search: find("search") };
    this.#residents = find("residents");
    this.#residentsLabel = find("residents-label");
    this.#onChange = onChange;
    for (const field of [...Object.values(this.#fields), this.#residents])
      field.addEventListener("input", () => onChange());
    form.addEventListener("submit", (event) => event.preventDefault());
    find("search").addEventListener("keydown", ({ key, shiftKey }) => key === "Enter" && onStep(shiftKey));
  }

  // Sets the fields from a URL's query (URLSearchParams).
  readFrom(query) {
    for (const name of ["outcome", "search"]) this.#fields[name].value = query.get(name) || "";
    for (const name of ["comm", "uid"]) {
      const [field, value] = [this.#fields[name], query.get(name) || ""];
      if (![...field.options].some((option) => option.value === value)) field.add(new Option(value, value));
      field.value = value;
    }
    this.#residents.checked = query.has("residents");
  }

  // Adds the values of the fields to a query.
  writeTo(query) {
    for (const [name, field] of Object.entries(this.#fields)) if (field.value) query.set(name, field.value);
    if (this.#residents.checked) query.set("residents", "1");
  }

  // names and users: from choices.json, pairs of a value and the number of processes that have it.
  setChoices({ names, users }) {
    for (const [field, choices] of [[this.#fields.comm, names], [this.#fields.uid, users]]) {
      const chosen = field.value;
      field.replaceChildren(new Option("all", ""));
      for (const [value, count] of choices)
        if (value !== null) field.add(new Option(printable(String(value)) + " (" + count + ")", value));
      field.value = chosen;
    }
  }

  // count: processes that ran during the whole recording.
  setResidentsCount(count) {
    this.#residentsLabel.textContent = "processes that ran all the time (" + count + ")";
  }

  get isSearching() {
    return Boolean(this.#fields.search.value);
  }

  get hasFocusInSearch() {
    return document.activeElement === this.#fields.search;
  }

  focusSearch() {
    this.#fields.search.focus();
  }

  clearSearch() {
    this.#fields.search.value = "";
    this.#fields.search.blur();
    this.#onChange();
  }
}
