// Times as the clock of the recorded machine shows them.

const two = (number) => String(number).padStart(2, "0");

export class Clock {
  zone; // for people: Europe/Berlin (UTC+01:00)
  #beginMs;
  #offsetMs;
  #format = null; // of the zone's own rules, if the browser knows the zone

  // beginMs: Unix time of 0 on the timeline. offsetS: how far the zone is ahead of UTC then.
  constructor(beginMs, zone, offsetS) {
    this.#beginMs = beginMs;
    this.#offsetMs = offsetS * 1e3;
    const minutes = Math.abs(offsetS) / 60;
    const [h, m] = [Math.floor(minutes / 60), Math.floor(minutes % 60)];
    const offset = "UTC" + (offsetS < 0 ? "-" : "+") + two(h) + ":" + two(m);
    this.zone = !offsetS && /(^|\/)UTC$/.test(zone) ? "UTC" : zone === offset ? zone : zone + " (" + offset + ")";
    try {
      const parts = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" };
      this.#format = new Intl.DateTimeFormat("en", { timeZone: zone, hourCycle: "h23", second: "numeric", ...parts });
    } catch {
      this.#format = null;
    }
  }

  // Returns the local time of a time on the timeline, in ms since 1970 as if the zone were UTC.
  localMs(ms) {
    return this.#beginMs + ms + this.#offsetAt(this.#beginMs + ms);
  }

  #offsetAt(unixMs) {
    if (!this.#format || !Number.isFinite(unixMs) || Math.abs(unixMs) > 8e15) return this.#offsetMs;
    const parts = this.#format.formatToParts(unixMs).map(({ type, value }) => [type, Number(value)]);
    const { year, month, day, hour, minute, second } = Object.fromEntries(parts);
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(unixMs / 1e3) * 1e3;
  }

  date(ms) {
    const local = new Date(this.localMs(ms));
    return isNaN(local) ? "" : local.toISOString().slice(0, 10);
  }

  // digits: of the second's fraction, at most 6.
  time(ms, digits) {
    const unit = 10 ** (3 - digits); // ms; rounded first, so that 59.9996 doesn't become 60
    const local = Math.round(this.localMs(ms) / unit) * unit;
    const whole = new Date(Math.floor(local / 1e3 + 1e-7) * 1e3);
    if (isNaN(whole)) return "";
    const fraction = Math.max(local - whole.getTime(), 0) / 1e3;
    return whole.toISOString().slice(11, 19) + fraction.toFixed(digits).slice(1);
  }

  // Returns date, time to the millisecond, and zone.
  text(ms) {
    return this.date(ms) + " " + this.time(ms, 3) + " " + this.zone;
  }
}

// The choice between times since 0 and the clock of the machine.
export class TimeChoice {
  #select;
  #clock;

  constructor(select, clock, onChange) {
    this.#select = select;
    this.#clock = clock;
    select.addEventListener("input", onChange);
  }

  // The clock that the axis shows; null: it shows times since 0.
  get clock() {
    return this.#select.value === "clock" ? this.#clock : null;
  }

  readFrom(query) {
    this.#select.value = query.get("time") === "clock" ? "clock" : "elapsed";
  }

  writeTo(query) {
    if (this.clock) query.set("time", "clock");
  }
}
