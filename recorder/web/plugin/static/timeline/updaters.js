// Requests each kind of data, and passes it on to what shows it.

const MARGIN = 0.5; // share of the visible range that is requested in addition, on each side

export class Updaters {
  byName; // functions by the name of the data, the most urgent first; see Requests
  #model;
  #page;

  // page: functions draw, showStatus and enqueue(name).
  constructor(model, page) {
    this.#model = model;
    this.#page = page;
    this.byName = {
      match: (get) => this.#match(get),
      process: (get) => this.#process(get),
      stretch: (get) => this.#stretch(get),
      window: (get) => this.#window(get),
      overview: (get, signal) => this.#overview(get, signal),
      path: (get) => this.#path(get),
      choices: async (get) => {
        const choices = await get(new URLSearchParams());
        this.#model.filters.setChoices(choices);
        this.#model.palette.setChoices(choices);
        this.#page.draw();
      },
    };
  }

  // Requests more than the visible range, so that there is something to draw when the view is moved.
  async #window(get) {
    const { address, chart, parts, recording, selection, view } = this.#model;
    address.write(view, selection, parts, true);
    const margin = view.showsAll ? 0 : view.span * MARGIN;
    const range = { from: view.from - margin, to: view.to + margin };
    const width = Math.round(chart.width * ((range.to - range.from) / view.span));
    const query = new URLSearchParams({ ...range, width });
    this.#filter(query);
    recording.setWindow(await get(query), range);
    this.#page.showStatus();
    this.#page.draw();
    if (selection.scrolls) chart.scrollTo(selection.process, this.#model.pane.top);
    selection.scrolls = false;
  }

  #filter(query) {
    const { filters, selection } = this.#model;
    filters.writeTo(query);
    if (selection.tree !== null) query.set("tree", selection.tree);
  }

  // Of a process that was just selected, also makes its place visible.
  async #process(get) {
    const { chart, selection, view } = this.#model;
    const id = selection.process;
    if (id === null) return;
    const details = await get(new URLSearchParams({ id }));
    if (selection.process !== id) return;
    const isNew = !selection.details;
    selection.details = details;
    if (isNew) {
      if (selection.fits) view.fit(details.start_ms, details.end_ms);
      else view.reveal(details.start_ms, details.end_ms);
      selection.scrolls = true;
    }
    this.#page.draw();
    if (isNew) chart.scrollTo(id, this.#model.pane.top);
    selection.fits = false;
  }

  async #stretch(get) {
    const { selection } = this.#model;
    const stretch = selection.stretch;
    if (!stretch) return;
    const query = new URLSearchParams({ from: stretch[0], to: stretch[1] });
    this.#filter(query);
    const sums = await get(query);
    if (selection.stretch === stretch) selection.sums = sums;
    this.#page.draw();
  }

  async #match(get) {
    const { search, view } = this.#model;
    await search.update(get, { from: view.from, to: view.to });
    this.#page.showStatus();
  }

  // If the recording has grown and its end is visible, this also requests the window again.
  async #overview(get, signal) {
    const { filters, recording, view } = this.#model;
    const previousLength = recording.lengthMs;
    try {
      recording.setSummary(await get(new URLSearchParams()));
      filters.setResidentsCount(recording.summary.residents);
    } finally {
      if (!signal.aborted) {
        if (recording.windowData) this.#page.showStatus();
        if (view.followGrowth(previousLength)) this.#page.enqueue("window");
        this.#page.draw();
      }
    }
  }

  async #path(get) {
    this.#model.criticalPath.sections = (await get(new URLSearchParams())).sections;
    this.#page.draw();
  }
}
