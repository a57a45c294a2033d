// What the chart of a saved query shows, from the rows of the query. Each function returns a spec for Chart.

import { duration } from "../timeline/format.js";

const seconds = (value) => shortDuration(value * 1e3);
const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 });

function shortDuration(ms) {
  if (ms === 0) return "0 s";
  const text = duration(ms);
  return text.includes(".") ? text.replace(/\.?0+ (\S+)$/, " $1") : text.replace(/ 0 \S+$/, "");
}

// Over time: the columns of these names, each in the given style.
function overTime(title, rows, styles, perSecond = false) {
  const step = rows.length > 1 ? rows[1].seconds - rows[0].seconds : 1;
  const value = (row, name) => (row[name] ?? 0) / (perSecond ? step : 1);
  return {
    title,
    x: { values: rows.map((row) => row.seconds), labels: rows.map(label), tick: seconds },
    describe: number,
    series: Object.entries(styles).map(([name, style]) => ({
      name,
      values: rows.map((row) => value(row, name)),
      style,
    })),
  };
}

function label({ seconds: at, time }) {
  return time ? `${seconds(at)} (${time})` : seconds(at);
}

export const starts = (rows) => overTime("Processes started per second", rows, { starts: "steps" }, true);
export const failures = (rows) => overTime("Failures", rows, { failures: "bars" });
export const cores = (rows) => overTime("Cores busy", rows, { cores: "steps" });

function rate(rows) {
  const styles = { failures: "bars", starts: "steps", ends: "dashed" };
  return overTime("Starts, ends and failures in each step", rows, styles);
}

function concurrency(rows) {
  const named = rows.map((row) => ({ ...row, processes: row.mean_alive }));
  return overTime("Processes alive", named, { processes: "steps" });
}

// The curve of one name, and what it would be without the processes that still run or are older than the recording.
function survival(rows) {
  const points = [{ time_ms: 0, survival: 1, naive_survival: 1 }, ...rows];
  return {
    title: `Share of ${rows[0].comm} processes that live longer`,
    x: {
      values: points.map((row) => row.time_ms),
      labels: points.map((row) => `after ${shortDuration(row.time_ms)}`),
      isLog: true,
      tick: shortDuration,
    },
    top: 1,
    describe: (value) => `${number(value * 100)} %`,
    series: [
      { name: "survival", values: points.map((row) => row.survival), style: "steps" },
      { name: "naive", values: points.map((row) => row.naive_survival), style: "dashed" },
    ],
  };
}

// By the name of the query: the function, the columns that it needs, and the column that chooses one of several charts.
export const SPECS = {
  rate: { make: rate, columns: ["seconds", "starts", "ends", "failures"] },
  concurrency: { make: concurrency, columns: ["seconds", "mean_alive"] },
  cores: { make: cores, columns: ["seconds", "cores"] },
  survival: { make: survival, columns: ["survival", "time_ms", "naive_survival"], choice: "comm" },
};
