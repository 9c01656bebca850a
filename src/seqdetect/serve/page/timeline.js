// One user's last hours: what came, what was expected, how it was scored.

import { byId, el, shown, who } from "./dom.js";
import { COUNTS, PLAIN, plot } from "./plot.js";
import { clockSeconds, first, number, plural, score, seconds, spaced, when } from "./words.js";

const TITLES = { requests: "Requests in each tick", prompt_tokens: "Prompt tokens in each tick", completion_tokens: "Completion tokens in each tick" };
const LEVELS = ["", "warning", "critical"];
const ROWS = 200;
let told = null, drawings = [], cursor = null;

/** Show what the service says of one user; `chosen` tells why, where nobody chose. */
export function showTimeline(answer, chosen) {
  const same = told?.user === answer.user && told?.model === answer.model;
  told = answer;
  if (!same) cursor = null;
  byId("timeline").hidden = false;
  byId("timeline-title").replaceChildren("Timeline of ", who(told.user, 120));
  byId("told").textContent = [chosen, explain()].filter(Boolean).join(" ");
  draw();
  worst();
  if (!byId("values").hidden) values();
}

function explain() {
  if (!told.known) return "No such user is remembered here.";
  if (!told.watched) return "Steps of this user were not kept so far; they are from now on, beginning with the next one.";
  if (told.steps.at.length === 0) return "Nothing was sent in this span.";
  const begun = told.first && seconds(told.first) > seconds(told.since) + told.tick_s;
  const parts = [`${plural(told.steps.at.length, "step")} (a step is a tick of ${told.tick_s} s in which something was sent).`];
  if (begun) parts.push(`Kept since ${when(told.first, told.now)} UTC; what came before is not known here.`);
  if (told.volumes[0].low === null) parts.push("There are too few calm steps yet for a band.");
  return parts.join(" ");
}

function draw() {
  const box = byId("plots"), steps = told.steps;
  drawings = [];
  if (!steps?.at.length) {
    box.replaceChildren();
    byId("readout").textContent = byId("plots-help").textContent = "";
    return;
  }
  const span = [seconds(told.since), seconds(told.now)];
  const alerts = told.alerts.map((one) => ({ severity: one.severity, from: seconds(one.start), to: one.end ? seconds(one.end) : span[1] }));
  const width = Math.max(260, box.clientWidth);
  const common = { span, width, alerts };
  const figures = [
    ["Score", plot({ at: steps.at, value: steps.score, level: steps.level }, { ...common, scale: PLAIN, lines: told.thresholds })],
    ...told.volumes.map((one) => [TITLES[one.name] ?? one.name, plot({ ...one, at: steps.at, level: steps.level }, { ...common, scale: COUNTS })]),
  ];
  drawings = figures.map(([, drawing]) => drawing);
  box.replaceChildren(...figures.map(([title, drawing]) => el("figure", {}, el("figcaption", {}, title), drawing.drawn)));
  byId("plots-help").textContent = "Dots are steps; larger ones are at warning, squares at critical. Line: what the model expected of the step. "
    + "Band: where nine in ten of this user's calm steps (below warning, outside of alerts) lay around it, of all that are kept here. Shaded spans: alerts. "
    + "Counts are drawn by their logarithm. Times are UTC.";
  if (cursor === null) byId("readout").textContent = "Point at a step to read its values, or use the arrow keys here.";
  else point(Math.min(cursor, steps.at.length - 1));
}

/** Put the cursor on step `place` and read it out. */
function point(place) {
  cursor = place;
  const at = told.steps.at[place];
  for (const { drawn, x } of drawings) {
    const line = drawn.querySelector(".cursor");
    line.setAttribute("x1", x(at));
    line.setAttribute("x2", x(at));
  }
  const level = LEVELS[told.steps.level[place]];
  byId("readout").textContent = [`${clockSeconds(at)} UTC`, `score ${score(told.steps.score[place])}${level && ` (${level})`}`,
    ...told.volumes.map((one) => `${number(one.value[place])} ${named(one.name, one.value[place])}, expected ${number(one.expected[place])}${one.low ? ` (${number(one.low[place])} to ${number(one.high[place])})` : ""}`),
  ].join(" · ");
}

const named = (volume, count) => (volume === "requests" && count === 1 ? "request" : spaced(volume));

function nearest(time) {
  const at = told.steps.at;
  let low = 0, high = at.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low > 0 && time - at[low - 1] < at[low] - time ? low - 1 : low;
}

/** The same as a table, newest first. */
function values() {
  const steps = told.steps, count = steps?.at.length ?? 0, rows = [];
  for (let i = count - 1; i >= Math.max(0, count - ROWS); i--) {
    rows.push(el("tr", {}, el("th", { scope: "row" }, clockSeconds(steps.at[i])), el("td", {}, score(steps.score[i])), el("td", { class: "text" }, LEVELS[steps.level[i]] || "calm"),
      told.volumes.map((one) => [el("td", {}, number(one.value[i])), el("td", {}, number(one.expected[i])), el("td", {}, one.low ? `${number(one.low[i])}–${number(one.high[i])}` : "—")])));
  }
  const group = (one) => el("th", { scope: "colgroup", colspan: "3" }, first(spaced(one.name)));
  byId("values").replaceChildren(el("table", {},
    el("caption", { class: "key" }, `The newest ${plural(rows.length, "step")} of ${shown(told.user, 60)}, times in UTC`),
    el("thead", {},
      el("tr", {}, ["Tick's end", "Score", "Level"].map((head) => el("th", { scope: "col", rowspan: "2" }, head)), told.volumes.map(group)),
      el("tr", {}, told.volumes.map(() => ["came", "expected", "band"].map((head) => el("th", { scope: "col" }, head))))),
    el("tbody", {}, rows)));
}

/** What the steps with the largest scores were for. */
function worst() {
  const box = byId("worst");
  if (!told.worst.length) {
    box.replaceChildren();
    return;
  }
  const causes = (one) => el("ul", { class: "causes" }, one.causes.map((cause, place) => el("li", {}, cause, el("span", { class: "part" }, ` ${share(one, place)}`))));
  box.replaceChildren(el("h3", {}, "The worst steps, and why"), el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "The worst steps" }, el("table", { class: "plain" },
    el("caption", { class: "key" }, "Of each ten minutes the step with the largest score. Beside each cause: how much lower the score is with the user's usual value in its place"),
    el("thead", {}, el("tr", {}, ["Tick's end", "Score", "Causes"].map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, told.worst.map((one) => el("tr", {}, el("th", { scope: "row" }, when(one.at, told.now)), el("td", {}, score(one.score), el("span", { class: "below" }, spaced(one.kind))), el("td", {}, causes(one))))))));
}

const share = (one, place) => `−${one.contributions[place].toFixed(2)}`.replace("−-", "+");

byId("values-toggle").addEventListener("click", (event) => {
  const open = byId("values").hidden;
  byId("values").hidden = !open;
  event.target.setAttribute("aria-expanded", String(open));
  event.target.textContent = open ? "Hide the table" : "Show the values as a table";
  if (open && told) values();
});
byId("plots").addEventListener("pointermove", (event) => {
  const figure = event.target.closest("svg");
  if (figure && drawings.length) point(nearest(drawings[0].moment(event.clientX - figure.getBoundingClientRect().left)));
});
byId("plots").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (!step || !drawings.length) return;
  event.preventDefault();
  const last = told.steps.at.length - 1;
  point(Math.max(0, Math.min(last, (cursor ?? last + 1) + step)));
});
let width = 0;
new ResizeObserver(([entry]) => {
  if (told && Math.abs(entry.contentRect.width - width) > 1) draw();
  width = entry.contentRect.width;
}).observe(byId("plots"));
