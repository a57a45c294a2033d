// The page's address holds what is looked at, so that it can be kept and sent.

// The stretch that a query names, as [from, to] in ms; null where it names none.
export function stretchIn(query) {
  const stretch = ["from", "to"].map((name) => parseFloat(query.get(name)));
  return stretch.every(Number.isFinite) ? stretch : null;
}

export function writeAddress(view, filters) {
  const query = new URLSearchParams();
  if (!view.followsAll) {
    query.set("from", view.from.toFixed(3));
    query.set("to", view.to.toFixed(3));
  }
  filters.writeTo(query);
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? "?" + text : ""));
}
