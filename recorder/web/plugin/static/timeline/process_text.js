// Texts about a process, for the tooltip and for the details.

import { bytes, duration } from "./format.js";
import { OUTCOMES } from "./recording.js";

const LOST = OUTCOMES.indexOf("lost");
const FAILED = ["failed", "signalled"];

export const hasFailed = (process) => FAILED.includes(OUTCOMES[process.outcome]);

export function endText(process) {
  if (process.signal !== null) return "signal " + process.signal + (process.core_dumped ? " (core dumped)" : "");
  return process.exit_code !== null ? "exit " + process.exit_code : OUTCOMES[process.outcome];
}

export function lifetimeText(process) {
  return process.outcome === LOST ? "lifetime unknown" : duration(process.end_ms - process.start_ms);
}

// The following return null for what isn't known.

export function cpuText({ cpu_ms: cpu, user_ms: user, system_ms: system }) {
  if (cpu === null) return null;
  if (user === null || system === null) return duration(cpu);
  return duration(cpu) + " (user " + duration(user) + ", system " + duration(system) + ")";
}

export function delayText({ run_delay_ms: delay }) {
  return delay === null ? null : duration(delay) + " for a processor";
}

// What the time without a living child was, besides running and waiting for a processor.
export function sleepText({ asleep_ms: asleep, children_total: children }) {
  return asleep === null ? null : duration(asleep) + (children ? " with no child alive" : "");
}

export function storageText({ read_bytes: read, write_bytes: written }) {
  return read === null || written === null ? null : "read " + bytes(read) + ", wrote " + bytes(written);
}

// A peak that isn't higher than what the program before an exec had used says nothing about the program itself.
export function peakText({ max_rss_kib: peak, carried_rss_kib: carried }) {
  if (peak === null) return null;
  const text = (peak / 1024).toFixed(1) + " MiB";
  return carried !== undefined && carried !== null && carried >= peak ? "at most " + text : text;
}
