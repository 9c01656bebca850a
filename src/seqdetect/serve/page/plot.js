// One small drawing over time: steps as dots, what was expected as a line in its band, alerts as spans.

import { svg } from "./dom.js";
import { clock, compact } from "./words.js";

const LEFT = 50, RIGHT = 18, TOP = 8, BOTTOM = 18, APART_S = 900;
const HEIGHT = 108;

const DECADES = [0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9], BETWEEN = DECADES.slice(1).flatMap((one) => [2 * one, 5 * one]);
/** Counts are drawn by log(1 + count), as they are scored, and read at powers of ten first. */
export const COUNTS = { of: (value) => Math.log1p(Math.max(0, value)), marks: [...DECADES.toReversed(), ...BETWEEN], tell: compact, room: 1 };
export const PLAIN = { of: (value) => value, marks: [0, 2, 4, 6, 8, 10, 15, 20, 1, 3, 5, 7], tell: String, room: 0.5 };
const APART_PX = 15;

/** Of the scale's marks those that have room, `y` being where one stands. */
function ticks(scale, most, y) {
  const found = [];
  for (const one of scale.marks) if (one <= most && found.every((other) => Math.abs(y(other) - y(one)) >= APART_PX)) found.push(one);
  return found;
}

/**
 * Draw `series` (`at` seconds, `value`, `level`, and where known `expected`, `low`, `high`) over `span` ([from, to],
 * seconds) in `width` pixels. `lines` are thresholds by name, `alerts` spans in seconds. The drawing is for the eye
 * alone: the same values stand in a table.
 */
export function plot(series, { span, width, scale, lines = {}, alerts = [] }) {
  const right = width - RIGHT, bottom = HEIGHT - BOTTOM;
  const x = (time) => LEFT + ((time - span[0]) / (span[1] - span[0])) * (right - LEFT);
  const most = [...series.value, ...(series.high ?? []), ...Object.values(lines)].reduce((a, b) => Math.max(a, b), scale.room);
  const y = (value) => bottom - (scale.of(Math.max(0, value)) / (1.08 * scale.of(most))) * (bottom - TOP);
  const drawn = svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true", focusable: "false", class: "plot" });
  for (const one of alerts) {
    const from = Math.max(LEFT, x(one.from)), to = Math.min(right, x(one.to));
    if (to >= LEFT && from <= right) drawn.append(svg("rect", { class: `span ${one.severity}`, x: from, y: TOP, width: Math.max(2, to - from), height: bottom - TOP }));
  }
  for (const tick of ticks(scale, most, y)) {
    drawn.append(svg("line", { class: "grid", x1: LEFT, x2: right, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick", x: LEFT - 6, y: y(tick) + 3.5, "text-anchor": "end" }, scale.tell(tick)));
  }
  for (const time of times(span, right - LEFT)) {
    drawn.append(svg("line", { class: "tooth", x1: x(time), x2: x(time), y1: bottom, y2: bottom + 4 }),
      svg("text", { class: "tick", x: x(time), y: HEIGHT - 3, "text-anchor": "middle" }, clock(time)));
  }
  if (series.low) drawn.append(svg("path", { class: "band", d: area(series, x, y) }));
  if (series.expected) drawn.append(svg("path", { class: "expected", d: line(series, x, y) }));
  let above = Infinity;
  for (const [name, value] of Object.entries(lines).sort((a, b) => a[1] - b[1])) {
    const height = y(value);
    drawn.append(svg("line", { class: `threshold ${name}`, x1: LEFT, x2: right, y1: height, y2: height }));
    if (above - height > 11) drawn.append(svg("text", { class: "tick", x: LEFT + 4, y: height - 3 }, name));
    above = height;
  }
  for (const [level, name] of ["calm", "warning", "critical"].entries()) drawn.append(svg("path", { class: `dots ${name}`, d: dots(series, level, x, y) }));
  drawn.append(svg("line", { class: "frame", x1: LEFT, x2: right, y1: bottom, y2: bottom }), svg("line", { class: "cursor", y1: TOP, y2: bottom, x1: -9, x2: -9 }));
  return { drawn, x, moment: (pixel) => span[0] + ((pixel - LEFT) / (right - LEFT)) * (span[1] - span[0]) };
}

/** A dot is a line of no length with round ends: one path for thousands. */
function dots(series, level, x, y) {
  let path = "";
  for (let i = 0; i < series.at.length; i++) if (series.level[i] === level) path += `M${x(series.at[i]).toFixed(1)} ${y(series.value[i]).toFixed(1)}h0`;
  return path;
}

function line(series, x, y) {
  let path = "";
  for (let i = 0; i < series.at.length; i++) path += `${i === 0 || series.at[i] - series.at[i - 1] > APART_S ? "M" : "L"}${x(series.at[i]).toFixed(1)} ${y(series.expected[i]).toFixed(1)}`;
  return path;
}

/** The band is broken where the user was silent for long: nothing was expected then. */
function area(series, x, y) {
  let path = "", from = 0;
  for (let i = 1; i <= series.at.length; i++) {
    if (i < series.at.length && series.at[i] - series.at[i - 1] <= APART_S) continue;
    const upper = [], lower = [];
    for (let j = from; j < i; j++) {
      const at = x(series.at[j]).toFixed(1);
      upper.push(`${at} ${y(series.high[j]).toFixed(1)}`);
      lower.unshift(`${at} ${y(series.low[j]).toFixed(1)}`);
    }
    if (upper.length > 1) path += `M${upper.join("L")}L${lower.join("L")}Z`;
    from = i;
  }
  return path;
}

/** Round times with room for their labels. */
function times([from, to], width) {
  const step = [60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600].find((one) => ((to - from) / one) * 62 <= width) ?? 43200;
  const found = [];
  for (let time = Math.ceil(from / step) * step; time < to; time += step) found.push(time);
  return found;
}
