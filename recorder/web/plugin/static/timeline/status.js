// The line that says what is shown.

import { duration } from "./format.js";

const counted = (count, one, many) => count.toLocaleString() + " " + (count === 1 ? one : many);

// troubles: why something can't be read, by its name.
export function statusText({ summary, picture }, view, troubles) {
  const short = picture.short.reduce((sum, each) => sum + each[2], 0);
  const parts = [];
  if (summary) {
    const { processes, lost, status } = summary;
    parts.push(counted(processes, "process", "processes") + ", " + status + (lost ? ", " + lost + " events lost" : ""));
  }
  parts.push(counted(picture.bars.length, "bar", "bars"));
  if (short) parts.push(short.toLocaleString() + " too short for one here");
  if (picture.matches !== null) parts.push(picture.matches.toLocaleString() + " match");
  parts.push(duration(view.span) + " shown");
  if (troubles.overview) parts.push("the overview " + troubles.overview);
  if (troubles.choices) parts.push("names and users " + troubles.choices);
  return parts.join(" · ");
}
