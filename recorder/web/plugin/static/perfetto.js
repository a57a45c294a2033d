// Hands a recording's trace to Perfetto's UI in the frame, once that answers.

const frame = document.getElementById("wp-ui");
const state = document.getElementById("wp-state");
const tell = (message) => frame.contentWindow.postMessage(message, location.origin);
const size = (bytes) => (bytes < 1e6 ? (bytes / 1e3).toFixed(1) + " kB" : (bytes / 1e6).toFixed(1) + " MB");

// The UI answers PING only when it is ready, and says so in no other way.
const ready = new Promise((resolve) => {
  let timer = 0;
  window.addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || event.data !== "PONG") return;
    clearInterval(timer);
    resolve();
  });
  frame.addEventListener("load", () => (timer = setInterval(() => tell("PING"), 100)));
});

async function fetchTrace() {
  const answer = await fetch(frame.dataset.trace);
  if (!answer.ok) throw new Error("the server says " + answer.status);
  return answer.arrayBuffer();
}

async function show() {
  state.textContent = "making the trace";
  const [buffer] = await Promise.all([fetchTrace(), ready]);
  state.textContent = "a trace of " + size(buffer.byteLength);
  tell({ perfetto: { buffer, title: frame.dataset.title, keepApiOpen: true } });
}

show().catch((error) => (state.textContent = "can't be shown: " + error.message));
