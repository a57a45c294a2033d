// Sends the requests for data: one at a time, the most urgent first. Each carries a random id of the page, so that the
// server can cancel the page's previous request.

import { readScope } from "./address.js";

const PAGE = Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("");
const SETTLE_MS = 70; // a new view is requested when it hasn't changed for this time
const GRACE_MS = 300; // the current request may run for this time before an urgent one cancels it
const URGENT = ["process", "stretch", "match", "window"]; // each cancels the current request

export class Requests {
  spentMs = 0; // total duration of the requests since resetSpent()
  failures = 0; // failed requests since the last successful one
  errors = {}; // error messages by the name of the data; "" after a success
  #path;
  #updaters;
  #onError;
  #onIdle;
  #queue = new Set();
  #current = null;
  #timer = 0;

  // updaters: functions by the name of the data that they request, the most urgent first. Each is called with a
  // function that sends a query and returns the data, and with the AbortSignal of the request.
  // onError: called with the name of data that can't be read. onIdle: called when the queue is empty.
  constructor(path, updaters, { onError, onIdle }) {
    this.#path = path;
    this.#updaters = updaters;
    this.#onError = onError;
    this.#onIdle = onIdle;
  }

  get isBusy() {
    return this.#current !== null;
  }

  resetSpent() {
    this.spentMs = 0;
  }

  // Requests the window when the view has stopped changing.
  requestWindowSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.request("window"), SETTLE_MS);
  }

  // Requests these data as soon as possible.
  request(...names) {
    if (names.includes("window")) clearTimeout(this.#timer);
    names.forEach((name) => this.enqueue(name));
    const current = this.#current;
    if (!current) return this.#runNext();
    const isUrgent = names.some((name) => URGENT.includes(name));
    const cancel = () => this.#current === current && isUrgent && current.controller.abort();
    setTimeout(cancel, Math.max(current.since + GRACE_MS - performance.now(), 0));
  }

  // Requests these data after the current request. For updaters, which run during a request.
  enqueue(name) {
    this.#queue.add(name);
  }

  async #runNext() {
    const name = Object.keys(this.#updaters).find((each) => this.#queue.has(each));
    if (!name) return this.#onIdle();
    this.#queue.delete(name);
    this.#current = { since: performance.now(), controller: new AbortController() };
    await this.#run(name, this.#current.controller.signal);
    this.spentMs += performance.now() - this.#current.since;
    await new Promise((resolve) => setTimeout(resolve)); // lets the browser close a cancelled request first
    this.#current = null;
    this.#runNext();
  }

  async #run(name, signal) {
    try {
      await this.#updaters[name]((query) => this.#fetch(name, query, signal), signal);
      this.errors[name] = "";
      this.failures = 0;
    } catch (error) {
      if (error.name === "AbortError") {
        this.#queue.add(name);
        return;
      }
      this.failures += 1;
      this.errors[name] = "can't be read: " + error.message;
      this.#onError(name);
    }
  }

  async #fetch(name, query, signal) {
    query.set("page", PAGE);
    for (const [name, value] of readScope(new URLSearchParams(location.search))) query.append(name, value);
    const response = await fetch(this.#path + "/" + name + ".json?" + query, { signal });
    if (response.ok) return response.json();
    const { error } = await response.json().catch(() => ({}));
    throw new Error(error || "the server answered " + response.status);
  }
}
