// Loads a recording's trace, and passes it to Perfetto's UI in the frame when the UI is ready.

const frame = document.getElementById("wp-ui");
const state = document.getElementById("wp-state");
const post = (message) => frame.contentWindow.postMessage(message, location.origin);
const size = (bytes) => (bytes < 1e6 ? (bytes / 1e3).toFixed(1) + " kB" : (bytes / 1e6).toFixed(1) + " MB");

// The only sign that the UI is ready is its answer to PING.
const ready = new Promise((resolve) => {
  let timer = 0;
  window.addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || event.data !== "PONG") return;
    clearInterval(timer);
    resolve();
  });
  frame.addEventListener("load", () => (timer = setInterval(() => post("PING"), 100)));
});

async function fetchTrace() {
  const response = await fetch(frame.dataset.trace);
  if (!response.ok) throw new Error("the server answered " + response.status);
  return response.arrayBuffer();
}

async function show() {
  state.textContent = "loading the trace";
  const [buffer] = await Promise.all([fetchTrace(), ready]);
  state.textContent = "a trace of " + size(buffer.byteLength);
  post({ perfetto: { buffer, title: frame.dataset.title, keepApiOpen: true } });
}

show().catch((error) => (state.textContent = "can't show the trace: " + error.message));
