// What is selected: a process, a stretch of time to sum up, and a process to whose tree the page is limited.

export class Selection {
  process = null; // the id of the selected process
  stretch = null; // [from, to] in ms
  tree = null; // the id of the process at the top of the tree
  details = null; // of the selected process, from process.json
  sums = null; // of the stretch, from stretch.json
  fits = false; // whether to zoom to the process when its details have come
  scrolls = false; // whether the lanes are to be scrolled to the process when its bar has come
  #onChange;

  // onChange: called with the name of what has changed: process, stretch or tree.
  constructor(onChange) {
    this.#onChange = onChange;
  }

  restore({ process, stretch, tree }) {
    Object.assign(this, { process, stretch, tree, details: null, sums: null });
  }

  selectProcess(id) {
    if (id === this.process && !this.stretch) return;
    Object.assign(this, { process: id, stretch: null, details: id === this.process ? this.details : null, sums: null });
    this.#onChange("process");
  }

  selectStretch(stretch) {
    Object.assign(this, { process: null, details: null, stretch, sums: null });
    this.#onChange("stretch");
  }

  showTree(id) {
    this.tree = id;
    this.#onChange("tree");
  }

  // Removes the latest of what is selected. Returns whether there was something.
  close() {
    if (this.stretch) this.selectStretch(null);
    else if (this.process !== null) this.selectProcess(null);
    else if (this.tree !== null) this.showTree(null);
    else return false;
    return true;
  }

  // Adds it to a URL's query.
  writeTo(query) {
    if (this.process !== null) query.set("process", this.process);
    if (this.tree !== null) query.set("tree", this.tree);
    if (this.stretch) {
      query.set("sum_from", this.stretch[0].toFixed(3));
      query.set("sum_to", this.stretch[1].toFixed(3));
    }
  }
}
