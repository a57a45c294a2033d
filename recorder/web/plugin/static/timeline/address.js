// Keeps the view and the filters in the page's URL, so that it can be saved and shared.

// Returns the time range in a URL's query, as [from, to] in ms; null if there is none.
export function readRange(query) {
  const range = ["from", "to"].map((name) => parseFloat(query.get(name)));
  return range.every(Number.isFinite) ? range : null;
}

// Returns the scope in a URL's query, as a query: the parameters that begin with _. The server reads it, not this page.
export function readScope(query) {
  return new URLSearchParams([...query].filter(([name]) => name.startsWith("_")));
}

export function writeAddress(view, filters) {
  const query = readScope(new URLSearchParams(location.search));
  if (!view.showsAll) {
    query.set("from", view.from.toFixed(3));
    query.set("to", view.to.toFixed(3));
  }
  filters.writeTo(query);
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? "?" + text : ""));
}
