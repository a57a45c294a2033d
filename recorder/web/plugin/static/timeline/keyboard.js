// Keyboard shortcuts.

const MOVE = 0.2; // share of the visible range

// actions: functions by key, besides those of the view.
export function listenToKeys(view, filters, actions) {
  const [zoomIn, zoomOut] = [() => view.zoomIn(), () => view.zoomOut()];
  const [left, right] = [() => view.move(-MOVE), () => view.move(MOVE)];
  const all = {
    ArrowLeft: left, a: left, ArrowRight: right, d: right,
    "+": zoomIn, "=": zoomIn, w: zoomIn, "-": zoomOut, s: zoomOut,
    Home: () => view.showStart(), End: () => view.showEnd(), 0: () => view.showAll(),
    "/": () => filters.focusSearch(),
    ...actions,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && filters.hasFocusInSearch) return filters.clearSearch();
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox") return;
    if (!all[event.key]) return;
    event.preventDefault();
    all[event.key]();
  });
}
