// The mouse on the chart: the wheel zooms, dragging moves, a bar shows its tooltip, and a click opens its process.

const DRAG_DISTANCE = 3; // pixels; if the mouse moves farther, it drags

// redraw: called when the bar under the mouse changes. open: called with a bar that is clicked.
export function listenToPointer(canvas, chart, view, tooltip, { redraw, open }) {
  let drag = null;

  function dragTo(event) {
    const distance = drag.x - event.clientX;
    if (Math.abs(distance) > DRAG_DISTANCE) drag.moved = true;
    const shift = (distance / chart.width) * (drag.to - drag.from);
    if (drag.moved && !view.showsAll) view.show(drag.from + shift, drag.to + shift);
    tooltip.hide();
  }

  function hover(event) {
    const bar = chart.barAt(event);
    canvas.classList.toggle("wt-over", Boolean(bar));
    if (bar !== chart.hovered) {
      chart.hovered = bar;
      redraw();
    }
    tooltip.show(bar, event);
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) view.move(event.deltaX / chart.width);
    else view.zoom(Math.pow(1.0018, event.deltaY), chart.timeAt(event));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, from: view.from, to: view.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (event) => (drag ? dragTo(event) : hover(event)));
  canvas.addEventListener("pointerup", (event) => {
    const moved = drag && drag.moved;
    drag = null;
    const bar = moved ? null : chart.barAt(event);
    if (bar) open(bar);
  });
  canvas.addEventListener("pointerleave", () => {
    chart.hovered = null;
    tooltip.hide();
    redraw();
  });
}
