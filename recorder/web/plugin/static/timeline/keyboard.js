// Keyboard shortcuts to zoom, move and search.

const MOVE = 0.2; // share of the visible range

export function listenToKeys(view, filters) {
  const [zoomIn, zoomOut] = [() => view.zoomIn(), () => view.zoomOut()];
  const [left, right] = [() => view.move(-MOVE), () => view.move(MOVE)];
  const actions = {
    ArrowLeft: left, a: left, ArrowRight: right, d: right,
    "+": zoomIn, "=": zoomIn, w: zoomIn, "-": zoomOut, s: zoomOut,
    Home: () => view.showStart(), End: () => view.showEnd(), 0: () => view.showAll(),
    "/": () => filters.focusSearch(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && filters.hasFocusInSearch) filters.clearSearch();
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
}
