// The status line above the timeline.

import { duration } from "./format.js";

const withNoun = (count, one, many) => count.toLocaleString() + " " + (count === 1 ? one : many);

// errors: see Requests. tree: id of the process to whose tree the page is limited; null: none.
export function statusText({ summary, windowData }, view, errors, tree) {
  const short = windowData.short.reduce((sum, each) => sum + each[2], 0);
  const parts = [];
  if (summary) {
    const { processes, lost, status } = summary;
    const losses = lost ? ", " + withNoun(lost, "event", "events") + " lost" : "";
    parts.push(withNoun(processes, "process", "processes") + ", " + status + losses);
  }
  parts.push(withNoun(windowData.bars.length, "bar", "bars"));
  if (short) parts.push(short.toLocaleString() + " too short for a bar");
  if (windowData.matches !== null) parts.push(withNoun(windowData.matches, "match", "matches"));
  parts.push(duration(view.span) + " shown");
  if (tree !== null) parts.push("only one tree");
  if (errors.overview) parts.push("the overview " + errors.overview);
  if (errors.choices) parts.push("names and users " + errors.choices);
  if (errors.path) parts.push("the critical path " + errors.path);
  if (errors.match) parts.push("the search " + errors.match);
  return parts.join(" · ");
}
