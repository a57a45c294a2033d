// The timeline: draws what the server sends for a stretch of time, and asks again when another is looked at.
// It has one request under way at most.
"use strict";

(function () {
  const root = document.getElementById("webpf-timeline");
  const byId = (id) => document.getElementById(id);
  const main = byId("wt-main");
  const strip = byId("wt-overview");
  const tip = byId("wt-tip");
  const OUTCOMES = ["ok", "failed", "signalled", "running", "lost"];
  const AXIS = 22; // pixels for the times at the top
  const SHORT = 46; // and for what is too short for a bar
  const LEAST = 400;
  const SHORTEST_MS = 0.01; // no closer look than this
  const MARGIN = 0.5; // how much more than what is seen is asked for, on either side

  const state = {
    whole: null, // what is known of the whole recording
    data: null, // the last answer: bars and counts
    shown: null, // the stretch that the last answer is for
    from: 0,
    to: 1,
    follows: true, // shows all, whatever it grows to
    over: null,
    drag: null,
  };
  const filters = { comm: byId("wt-comm"), uid: byId("wt-uid"), outcome: byId("wt-outcome"), search: byId("wt-search") };
  const residents = byId("wt-residents");
  let colours = {};

  // Times and sizes as text

  function duration(ms) {
    const size = Math.abs(ms);
    if (size >= 3600e3) return (ms / 3600e3).toFixed(2) + " h";
    if (size >= 60e3) return (ms / 60e3).toFixed(2) + " min";
    if (size >= 1e3) return (ms / 1e3).toFixed(3) + " s";
    if (size >= 1) return ms.toFixed(3) + " ms";
    return (ms * 1e3).toFixed(1) + " µs";
  }

  function mark(ms, step) {
    if (step >= 1e3) {
      const seconds = Math.round(ms / 1e3);
      const sign = seconds < 0 ? "-" : "";
      const whole = Math.abs(seconds);
      const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
      const two = (n) => String(n).padStart(2, "0");
      return sign + (h ? h + ":" + two(m) + ":" + two(s) : m + ":" + two(s));
    }
    if (step >= 1) return (ms / 1e3).toFixed(step >= 100 ? 1 : step >= 10 ? 2 : 3) + " s";
    return ms.toFixed(step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3) + " ms";
  }

  function stepFor(span, width) {
    const least = (span * 90) / width;
    const steps = [1, 2, 5];
    for (let power = 1e-4; power < 1e4; power *= 10)
      for (const step of steps) if (step * power >= least) return step * power;
    for (const step of [10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 14400e3, 43200e3])
      if (step >= least) return step;
    return Math.ceil(least / 86400e3) * 86400e3;
  }

  // Drawing

  function readColours() {
    const style = getComputedStyle(root);
    for (const name of [...OUTCOMES, "ink", "faint", "ground", "mark"])
      colours[name] = style.getPropertyValue("--" + name).trim();
  }

  function prepare(canvas, height) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = height + "px";
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    return [pen, width];
  }

  const at = (ms, width) => ((ms - state.from) / (state.to - state.from)) * width;

  function laneHeight() {
    const lanes = Math.max(state.data ? state.data.lanes : 1, 1);
    return Math.max(5, Math.min(18, Math.floor(900 / lanes)));
  }

  function draw() {
    const lane = laneHeight();
    const lanes = state.data ? state.data.lanes : 0;
    const height = Math.max(LEAST, AXIS + lanes * lane + SHORT + 12);
    const [pen, width] = prepare(main, height);
    drawAxis(pen, width, height);
    if (state.data) {
      drawShort(pen, width);
      drawBars(pen, width, lane);
    }
    drawOverview();
  }

  function drawAxis(pen, width, height) {
    const step = stepFor(state.to - state.from, width);
    pen.strokeStyle = colours.faint;
    pen.fillStyle = colours.ink;
    pen.beginPath();
    for (let ms = Math.ceil(state.from / step) * step; ms <= state.to; ms += step) {
      const x = Math.round(at(ms, width)) + 0.5;
      pen.moveTo(x, AXIS - 6);
      pen.lineTo(x, height);
      pen.fillText(mark(ms, step), x + 3, 9);
    }
    pen.stroke();
  }

  function label(pen, text, y) {
    pen.globalAlpha = 0.75;
    pen.fillStyle = colours.ground;
    pen.fillRect(3, y - 7, pen.measureText(text).width + 6, 14);
    pen.globalAlpha = 1;
    pen.fillStyle = colours.ink;
    pen.fillText(text, 6, y);
  }

  function drawShort(pen, width) {
    const counts = new Map();
    let most = 1;
    for (const [column, outcome, count] of state.data.short) {
      if (!counts.has(column)) counts.set(column, [0, 0, 0, 0, 0]);
      counts.get(column)[outcome] += count;
    }
    for (const each of counts.values()) most = Math.max(most, each.reduce((a, b) => a + b));
    const { from, to } = state.shown;
    const size = (to - from) / state.data.columns;
    for (const [column, each] of counts) {
      const x = at(from + column * size, width);
      const wide = Math.max(at(from + (column + 1) * size, width) - x, 1);
      let y = AXIS + SHORT;
      each.forEach((count, outcome) => {
        if (!count) return;
        const high = Math.max((count / most) * (SHORT - 4), 1);
        pen.fillStyle = colours[OUTCOMES[outcome]];
        pen.fillRect(x, y - high, wide, high);
        y -= high;
      });
    }
    pen.globalAlpha = 1;
    if (counts.size) label(pen, "too short for a bar: up to " + most.toLocaleString() + " a column", AXIS + 8);
  }

  function drawBars(pen, width, lane) {
    const top = AXIS + SHORT + 6;
    const searches = Boolean(filters.search.value);
    for (const bar of state.data.bars) {
      const x = Math.max(at(bar.start_ms, width), -2);
      const end = Math.min(at(bar.end_ms, width), width + 2);
      if (end < 0 || x > width) continue;
      const wide = Math.max(end - x, 1);
      const y = top + bar.lane * lane;
      pen.globalAlpha = searches && !bar.is_match ? 0.2 : 1;
      pen.fillStyle = colours[OUTCOMES[bar.outcome]];
      pen.fillRect(x, y, wide, lane - 1);
      if (searches && bar.is_match) {
        pen.fillStyle = colours.mark;
        pen.fillRect(x, y + lane - 3, wide, 2);
      }
      if (lane >= 12 && wide > 34) {
        pen.fillStyle = "#fff";
        pen.save();
        pen.beginPath();
        pen.rect(x, y, wide - 2, lane);
        pen.clip();
        pen.fillText(bar.title, Math.max(x, 0) + 4, y + lane / 2);
        pen.restore();
      }
    }
    pen.globalAlpha = 1;
    if (state.over) {
      pen.strokeStyle = colours.ink;
      const x = at(state.over.start_ms, width);
      pen.strokeRect(x, top + state.over.lane * lane, Math.max(at(state.over.end_ms, width) - x, 1), lane - 1);
    }
  }

  function drawOverview() {
    const [pen, width] = prepare(strip, 56);
    if (!state.whole) return;
    const { alive, length_ms: length } = state.whole;
    const most = Math.ceil(Math.max(1, ...alive));
    pen.fillStyle = colours.ok;
    pen.globalAlpha = 0.55;
    alive.forEach((count, i) => {
      const high = (count / most) * 48;
      pen.fillRect((i / alive.length) * width, 56 - high, width / alive.length + 0.6, high);
    });
    pen.globalAlpha = 1;
    label(pen, "alive: up to " + most.toLocaleString() + " in " + duration(length), 9);
    pen.fillStyle = colours.ink;
    const [x, end] = [(state.from / length) * width, (state.to / length) * width];
    pen.globalAlpha = 0.18;
    pen.fillRect(0, 0, Math.max(x, 0), 56);
    pen.fillRect(end, 0, Math.max(width - end, 0), 56);
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.ink;
    pen.strokeRect(Math.max(x, 0) + 0.5, 0.5, Math.max(Math.min(end, width) - Math.max(x, 0) - 1, 2), 55);
  }

  // Names are anybody's text: what would move the cursor or turn the direction of writing is shown as a dot.
  const plain = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "·");

  // What is looked at

  function look(from, to) {
    const length = lengthMs();
    const lead = state.whole ? state.whole.lead_ms : 0; // with --all: what was recorded before the command began
    const span = Math.min(Math.max(to - from, SHORTEST_MS), length * 1.05 + lead);
    const begin = Math.min(Math.max(from, -lead - length * 0.025), length * 1.025 - span);
    state.follows = span >= length * 0.999 && begin >= -length * 0.026;
    state.from = state.follows ? 0 : begin;
    state.to = state.follows ? length : begin + span;
    draw();
    ask();
  }

  function zoom(factor, where) {
    const span = state.to - state.from;
    const centre = where === undefined ? state.from + span / 2 : where;
    look(centre - (centre - state.from) * factor, centre + (state.to - centre) * factor);
  }

  const move = (share) => look(state.from + (state.to - state.from) * share, state.to + (state.to - state.from) * share);
  const lengthMs = () => (state.whole || state.data || { length_ms: Number(root.dataset.length) }).length_ms;
  const all = () => look(0, lengthMs());

  function remember() {
    const view = new URLSearchParams();
    if (!state.follows) {
      view.set("from", state.from.toFixed(3));
      view.set("to", state.to.toFixed(3));
    }
    choose(view);
    history.replaceState(null, "", location.pathname + (view.size || view.toString() ? "?" + view : ""));
  }

  function choose(query) {
    for (const [name, field] of Object.entries(filters)) if (field.value) query.set(name, field.value);
    if (residents.checked) query.set("residents", "1");
  }

  // What the server is asked: one thing at a time, first what one waits for. The server knows the page by its id, and
  // ends what it is asked no more.

  const PAGE = Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("");
  const PATIENCE = 300; // ms that a new view leaves to the request under way
  const PAUSES = [2e3, 60e3]; // ms, least and most, from one look at a recording that goes on to the next
  const READ = { window: readWindow, overview: readWhole, choices: readChoices }; // in the order of their urgency
  const wants = new Set();
  const troubles = {};
  let asked = null;
  let timer = 0;
  let rest = 0;
  let spent = 0; // ms of asking since the last look
  let failures = 0;

  function ask() {
    clearTimeout(timer);
    timer = setTimeout(() => want("window"), 70);
  }

  function want(...what) {
    what.forEach((each) => wants.add(each));
    if (!asked) return next();
    const before = asked;
    const stop = () => asked === before && wants.has("window") && before.stop.abort();
    setTimeout(stop, Math.max(before.since + PATIENCE - performance.now(), 0));
  }

  async function next() {
    const what = Object.keys(READ).find((each) => wants.has(each));
    if (!what) return lookLater();
    wants.delete(what);
    asked = { since: performance.now(), stop: new AbortController() };
    try {
      await READ[what](asked.stop.signal);
      troubles[what] = "";
      failures = 0;
    } catch (error) {
      if (error.name === "AbortError") wants.add(what);
      else trouble(what, error);
    }
    spent += performance.now() - asked.since;
    await new Promise((resolve) => setTimeout(resolve)); // what was ended is then off the wire
    asked = null;
    next();
  }

  function trouble(what, error) {
    failures += 1;
    troubles[what] = "can't be read: " + error.message;
    if (state.data && what !== "window") say(state.data);
    else byId("wt-state").textContent = troubles[what];
  }

  async function get(what, query, signal) {
    query.set("page", PAGE);
    const answer = await fetch(root.dataset.path + "/" + what + ".json?" + query, { signal });
    if (answer.ok) return answer.json();
    const { error } = await answer.json().catch(() => ({}));
    throw new Error(error || "the server says " + answer.status);
  }

  async function readWindow(signal) {
    remember();
    const span = state.to - state.from;
    const margin = state.follows ? 0 : span * MARGIN;
    const shown = { from: state.from - margin, to: state.to + margin };
    const width = Math.round(main.clientWidth * ((shown.to - shown.from) / span));
    const query = new URLSearchParams({ from: shown.from, to: shown.to, width });
    choose(query);
    const data = await get("window", query, signal);
    state.data = data;
    state.shown = shown;
    say(data);
    draw();
  }

  function say(data) {
    const short = data.short.reduce((sum, each) => sum + each[2], 0);
    const parts = [data.bars.length.toLocaleString() + (data.bars.length === 1 ? " bar" : " bars")];
    if (short) parts.push(short.toLocaleString() + " too short for one here");
    if (data.matches !== null) parts.push(data.matches.toLocaleString() + " match");
    parts.push(duration(state.to - state.from) + " shown");
    if (state.whole) {
      const { processes, lost, status } = state.whole;
      parts.unshift(processes.toLocaleString() + (processes === 1 ? " process, " : " processes, ") + status + (lost ? ", " + lost + " events lost" : ""));
    }
    if (troubles.overview) parts.push("the overview " + troubles.overview);
    if (troubles.choices) parts.push("names and users " + troubles.choices);
    byId("wt-state").textContent = parts.join(" · ");
    root.dataset.ready = "1";
  }

  async function readWhole(signal) {
    const before = lengthMs();
    try {
      state.whole = await get("overview", new URLSearchParams(), signal);
      byId("wt-residents-label").textContent = "what ran all the time (" + state.whole.residents + ")";
    } finally {
      if (!signal.aborted) grow(before);
    }
  }

  async function readChoices(signal) {
    const { names, users } = await get("choices", new URLSearchParams(), signal);
    for (const [field, choices] of [[filters.comm, names], [filters.uid, users]]) {
      const chosen = field.value;
      field.replaceChildren(new Option("all", ""));
      for (const [value, count] of choices)
        if (value !== null) field.add(new Option(plain(String(value)) + " (" + count + ")", value));
      field.value = chosen;
    }
  }

  // Mouse and keyboard

  const timeAt = (event) => state.from + (event.offsetX / main.clientWidth) * (state.to - state.from);

  function barAt(event) {
    if (!state.data) return null;
    const lane = Math.floor((event.offsetY - AXIS - SHORT - 6) / laneHeight());
    const slack = ((state.to - state.from) / main.clientWidth) * 2;
    const time = timeAt(event);
    return state.data.bars.find((b) => b.lane === lane && b.start_ms - slack <= time && time <= b.end_ms + slack) || null;
  }

  function tell(bar, event) {
    tip.hidden = !bar;
    if (!bar) return;
    const ended =
      bar.signal !== null ? "signal " + bar.signal + (bar.core_dumped ? " (core dumped)" : "")
      : bar.exit_code !== null ? "exit " + bar.exit_code
      : OUTCOMES[bar.outcome];
    const lines = [
      plain(bar.args || bar.comm || "?"),
      plain(bar.comm || "?") + ", pid " + bar.pid + " of " + bar.ppid + ", user " + bar.uid,
      ended + ", " + (bar.outcome === 4 ? "lifetime not known" : duration(bar.end_ms - bar.start_ms)) + ", from " + duration(bar.start_ms),
    ];
    if (bar.cpu_ms !== null) lines.push("CPU " + duration(bar.cpu_ms));
    if (bar.max_rss_kib !== null) lines.push("peak memory " + (bar.max_rss_kib / 1024).toFixed(1) + " MiB");
    tip.textContent = lines.join("\n");
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
  }

  main.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX / main.clientWidth);
    else zoom(Math.pow(1.0018, event.deltaY), timeAt(event));
  }, { passive: false });

  main.addEventListener("pointerdown", (event) => {
    state.drag = { x: event.clientX, from: state.from, to: state.to, moved: false };
    main.setPointerCapture(event.pointerId);
    main.focus({ preventScroll: true });
  });
  main.addEventListener("pointermove", (event) => {
    if (state.drag) {
      const shift = ((state.drag.x - event.clientX) / main.clientWidth) * (state.drag.to - state.drag.from);
      if (Math.abs(state.drag.x - event.clientX) > 3) state.drag.moved = true;
      if (state.drag.moved && !state.follows) look(state.drag.from + shift, state.drag.to + shift);
      tell(null);
      return;
    }
    const bar = barAt(event);
    main.classList.toggle("wt-over", Boolean(bar));
    if (bar !== state.over) {
      state.over = bar;
      draw();
    }
    tell(bar, event);
  });
  main.addEventListener("pointerup", (event) => {
    const moved = state.drag && state.drag.moved;
    state.drag = null;
    const bar = moved ? null : barAt(event);
    if (bar) location.href = root.dataset.rows + "/" + bar.id;
  });
  main.addEventListener("pointerleave", () => {
    state.over = null;
    tell(null);
    draw();
  });

  let selecting = null;
  const wholeAt = (event) => (event.offsetX / strip.clientWidth) * lengthMs();
  strip.addEventListener("pointerdown", (event) => {
    selecting = wholeAt(event);
    strip.setPointerCapture(event.pointerId);
  });
  strip.addEventListener("pointermove", (event) => {
    if (selecting === null) return;
    const here = wholeAt(event);
    if (Math.abs(here - selecting) * strip.clientWidth > 4 * lengthMs())
      look(Math.min(here, selecting), Math.max(here, selecting));
  });
  strip.addEventListener("pointerup", (event) => {
    const here = wholeAt(event);
    const span = state.to - state.from;
    if (selecting !== null && Math.abs(here - selecting) * strip.clientWidth <= 4 * lengthMs())
      if (!state.follows) look(here - span / 2, here + span / 2);
    selecting = null;
  });

  const KEYS = {
    ArrowLeft: () => move(-0.2), a: () => move(-0.2), ArrowRight: () => move(0.2), d: () => move(0.2),
    "+": () => zoom(0.6), "=": () => zoom(0.6), w: () => zoom(0.6), "-": () => zoom(1 / 0.6), s: () => zoom(1 / 0.6),
    Home: () => look(0, state.to - state.from), 0: all,
    End: () => look(lengthMs() - (state.to - state.from), lengthMs()),
    "/": () => filters.search.focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && document.activeElement === filters.search) {
      filters.search.value = "";
      filters.search.blur();
      ask();
    }
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  byId("wt-in").addEventListener("click", () => zoom(0.6));
  byId("wt-out").addEventListener("click", () => zoom(1 / 0.6));
  byId("wt-all").addEventListener("click", all);
  for (const field of [...Object.values(filters), residents]) field.addEventListener("input", () => ask());
  root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("resize", () => { draw(); ask(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !asked) lookLater(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });

  // A recording that goes on grows: what is seen is asked for again, as long as its end is in view. The pause is several
  // times as long as the answers took, so that a page that is left open is no load.
  const goesOn = () => (state.whole || state.data || {}).status === "recording";

  function lookLater() {
    clearTimeout(rest);
    if (!goesOn()) return;
    const pause = Math.min(Math.max(4 * spent, PAUSES[0] * 2 ** Math.min(failures, 10)), PAUSES[1]);
    rest = setTimeout(lookAgain, pause);
  }

  function lookAgain() {
    if (document.hidden || asked || !goesOn()) return;
    spent = 0;
    want("overview");
    if (document.activeElement.tagName !== "SELECT") want("choices");
  }

  function grow(before) {
    if (state.data) say(state.data);
    if (state.follows) {
      state.to = lengthMs();
      if (state.to !== before) wants.add("window");
    } else if (state.to >= before * 0.98 && goesOn()) wants.add("window");
    draw();
  }

  const wanted = new URLSearchParams(location.search);

  function begin() {
    readColours();
    for (const name of ["outcome", "search"]) filters[name].value = wanted.get(name) || "";
    for (const name of ["comm", "uid"])
      if (wanted.get(name)) {
        filters[name].add(new Option(wanted.get(name), wanted.get(name)));
        filters[name].value = wanted.get(name);
      }
    residents.checked = wanted.has("residents");
    const [from, to] = ["from", "to"].map((name) => parseFloat(wanted.get(name)));
    if (Number.isFinite(from) && Number.isFinite(to)) look(from, to);
    else all();
    clearTimeout(timer);
    want("window", "overview", "choices");
  }

  begin();
})();
