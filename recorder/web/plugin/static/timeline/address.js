// Keeps the view and the filters in the page's URL, so that it can be saved and shared.

// Returns the time range in a URL's query, as [from, to] in ms; null if there is none.
export function readRange(query) {
  const range = ["from", "to"].map((name) => parseFloat(query.get(name)));
  return range.every(Number.isFinite) ? range : null;
}

export function writeAddress(view, filters) {
  const query = new URLSearchParams();
  if (!view.showsAll) {
    query.set("from", view.from.toFixed(3));
    query.set("to", view.to.toFixed(3));
  }
  filters.writeTo(query);
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? "?" + text : ""));
}
