// The form above the timeline: which processes are shown, and which are searched for.

import { printable } from "./format.js";

export class Filters {
  #fields; // by the name that they have in queries
  #residents;
  #residentsLabel;
  #onChange;

  constructor(form, onChange) {
    const find = (name) => form.querySelector("#wt-" + name);
    this.#fields = { comm: find("comm"), uid: find("uid"), outcome: find("outcome"), search: find("search") };
    this.#residents = find("residents");
    this.#residentsLabel = find("residents-label");
    this.#onChange = onChange;
    for (const field of [...Object.values(this.#fields), this.#residents])
      field.addEventListener("input", () => onChange());
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  // Chooses what a query, as URLSearchParams, asks for.
  readFrom(query) {
    for (const name of ["outcome", "search"]) this.#fields[name].value = query.get(name) || "";
    for (const name of ["comm", "uid"])
      if (query.get(name)) {
        this.#fields[name].add(new Option(query.get(name), query.get(name)));
        this.#fields[name].value = query.get(name);
      }
    this.#residents.checked = query.has("residents");
  }

  // Adds what is chosen to a query.
  writeTo(query) {
    for (const [name, field] of Object.entries(this.#fields)) if (field.value) query.set(name, field.value);
    if (this.#residents.checked) query.set("residents", "1");
  }

  // names and users: pairs of a value and how many processes have it, as choices.json has them.
  offer({ names, users }) {
    for (const [field, choices] of [[this.#fields.comm, names], [this.#fields.uid, users]]) {
      const chosen = field.value;
      field.replaceChildren(new Option("all", ""));
      for (const [value, count] of choices)
        if (value !== null) field.add(new Option(printable(String(value)) + " (" + count + ")", value));
      field.value = chosen;
    }
  }

  // How many processes ran all the time.
  countResidents(count) {
    this.#residentsLabel.textContent = "what ran all the time (" + count + ")";
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
