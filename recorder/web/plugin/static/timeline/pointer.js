// The mouse on the chart: the wheel zooms, dragging moves, and a bar says what it is and opens its process.

const DRAG = 3; // pixels; if the mouse moves farther, it drags

// redraw: called when another bar is below the mouse, or none. open: called with a bar that is clicked.
export function listenToPointer(canvas, chart, view, tooltip, { redraw, open }) {
  let drag = null;

  function pull(event) {
    const way = drag.x - event.clientX;
    if (Math.abs(way) > DRAG) drag.moved = true;
    const shift = (way / chart.width) * (drag.to - drag.from);
    if (drag.moved && !view.followsAll) view.show(drag.from + shift, drag.to + shift);
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
  canvas.addEventListener("pointermove", (event) => (drag ? pull(event) : hover(event)));
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
