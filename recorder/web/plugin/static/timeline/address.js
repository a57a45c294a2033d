// Keeps what the page shows in its URL, so that it can be saved and shared, and comes back with the browser's back.

const JOIN_MS = 1e3; // changes of the view within this time become one entry of the browser's history

const number = (query, name) => (query.get(name) ? Number(query.get(name)) : NaN);
const id = (query, name) => (Number.isInteger(number(query, name)) ? number(query, name) : null);

function range(query, from, to) {
  const ends = [number(query, from), number(query, to)];
  return ends.every(Number.isFinite) && ends[0] < ends[1] ? ends : null;
}

// Returns what a URL's query says: the visible range and the stretch to sum up ([from, to] in ms), the ids of the
// selected process and of the one whose tree is shown. null: not given, or not valid.
export function readAddress(query) {
  return {
    range: range(query, "from", "to"),
    stretch: range(query, "sum_from", "sum_to"),
    process: id(query, "process"),
    tree: id(query, "tree"),
  };
}

// Returns the scope in a URL's query, as a query: the parameters that begin with _. The server reads it, not this page.
export function readScope(query) {
  return new URLSearchParams([...query].filter(([name]) => name.startsWith("_")));
}

export class Address {
  #replacesNext = true;
  #changedAt = -Infinity;
  #wasOfView = false;

  // onReturn: called with a query when the user goes back or forward.
  constructor(onReturn) {
    addEventListener("popstate", () => {
      this.#replacesNext = true;
      onReturn(new URLSearchParams(location.search));
    });
  }

  // isOfView: whether only the view has changed, such as while it is dragged.
  write(view, selection, parts, isOfView = false) {
    const query = readScope(new URLSearchParams(location.search));
    if (!view.showsAll) {
      query.set("from", view.from.toFixed(3));
      query.set("to", view.to.toFixed(3));
    }
    for (const part of [...parts, selection]) part.writeTo(query);
    const text = query.toString();
    const url = location.pathname + (text ? "?" + text : "");
    const joins = isOfView && this.#wasOfView && performance.now() - this.#changedAt < JOIN_MS;
    if (url !== location.pathname + location.search)
      history[joins || this.#replacesNext ? "replaceState" : "pushState"](null, "", url);
    else if (!this.#replacesNext) return;
    this.#replacesNext = false;
    this.#changedAt = performance.now();
    this.#wasOfView = isOfView;
  }
}
