// The requests for data: one at a time, the most urgent first. The server knows the page by a random id, and ends what
// the page no longer waits for.

const PAGE = Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("");
const SETTLES = 70; // ms without a change, after which a new view is asked for
const PATIENCE = 300; // ms that a new view leaves to the request under way
const URGENT = "window"; // a new one ends the request under way

export class Requests {
  spentMs = 0; // of asking, since resetSpent()
  failures = 0; // since the last answer
  troubles = {}; // why something can't be read, by its name
  #path;
  #readers;
  #onTrouble;
  #onIdle;
  #wanted = new Set();
  #underWay = null;
  #timer = 0;

  // readers: functions by the name of what they read, the most urgent first. Each is called with a function that takes
  // a query and gets the answer, and with the signal that ends the request.
  // onTrouble: called with the name of what can't be read. onIdle: called when nothing more is wanted.
  constructor(path, readers, { onTrouble, onIdle }) {
    this.#path = path;
    this.#readers = readers;
    this.#onTrouble = onTrouble;
    this.#onIdle = onIdle;
  }

  get isBusy() {
    return this.#underWay !== null;
  }

  resetSpent() {
    this.spentMs = 0;
  }

  // Asks for the window, once the view has come to rest.
  wantWindowSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.want(URGENT), SETTLES);
  }

  // Asks for these as soon as possible.
  want(...names) {
    if (names.includes(URGENT)) clearTimeout(this.#timer);
    names.forEach((name) => this.wantNext(name));
    const before = this.#underWay;
    if (!before) return this.#next();
    const stop = () => this.#underWay === before && this.#wanted.has(URGENT) && before.stop.abort();
    setTimeout(stop, Math.max(before.since + PATIENCE - performance.now(), 0));
  }

  // Asks for this after the request under way; for readers, which are called during one.
  wantNext(name) {
    this.#wanted.add(name);
  }

  async #next() {
    const name = Object.keys(this.#readers).find((each) => this.#wanted.has(each));
    if (!name) return this.#onIdle();
    this.#wanted.delete(name);
    this.#underWay = { since: performance.now(), stop: new AbortController() };
    await this.#read(name, this.#underWay.stop.signal);
    this.spentMs += performance.now() - this.#underWay.since;
    await new Promise((resolve) => setTimeout(resolve)); // what was ended is then off the wire
    this.#underWay = null;
    this.#next();
  }

  async #read(name, signal) {
    try {
      await this.#readers[name]((query) => this.#get(name, query, signal), signal);
      this.troubles[name] = "";
      this.failures = 0;
    } catch (error) {
      if (error.name === "AbortError") {
        this.#wanted.add(name);
        return;
      }
      this.failures += 1;
      this.troubles[name] = "can't be read: " + error.message;
      this.#onTrouble(name);
    }
  }

  async #get(name, query, signal) {
    query.set("page", PAGE);
    const answer = await fetch(this.#path + "/" + name + ".json?" + query, { signal });
    if (answer.ok) return answer.json();
    const { error } = await answer.json().catch(() => ({}));
    throw new Error(error || "the server says " + answer.status);
  }
}
