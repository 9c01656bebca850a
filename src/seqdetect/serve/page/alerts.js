// The list of alerts.

import { byId, el, quiet, sync, svg, who } from "./dom.js";
import { clock, compact, duration, first, number, score, seconds, share, spaced, usd, when } from "./words.js";

const SIGNS = { critical: "▲", warning: "◆" };
const VERDICTS = { true: "True", false: "False", benign: "Expected" };
const FILTERS = [
  ["muted", "muted", (one) => one.muted],
  ["shadow", "shadow", (one) => one.shadow],
  ["resolved", "resolved", (one) => one.change === "resolve"],
];
const chosen = new Set();
let seen = null;

/** Show what `told` says; `acts` are what the buttons do: `timeline(alert)` and `judge(alert, verdict)`. */
export function showAlerts(told, acts) {
  const all = [...told.open, ...told.resolved];
  const visible = all.filter((one) => FILTERS.every(([name, , is]) => chosen.has(name) || !is(one)));
  filters(all, () => showAlerts(told, acts));
  const live = told.open.filter((one) => !one.muted && !one.shadow);
  const left = told.open_total - told.open.length;
  byId("alerts-title").replaceChildren("Alerts ", el("span", { class: "count" }, `${live.length} open`));
  const hint = byId("hint");
  const hints = [
    left > 0 && `${number(left)} more open alerts are not shown: the worst are.`,
    !told.verdicts && "Verdicts are not taken: set feedback.path in the service's configuration.",
  ].filter(Boolean);
  hint.textContent = hints.join(" ");
  hint.hidden = hints.length === 0;
  const list = byId("list");
  const sign = (one) => JSON.stringify([one, told.verdicts]);
  sync(list, visible, (one) => `${one.model}/${one.alert_id}`, sign, (one) => card(one, told, acts));
  if (visible.length === 0) list.replaceChildren(el("li", { class: "none", "data-key": "" }, told.now ? "No alert is open." : "No event has been scored yet."));
  for (const time of list.querySelectorAll("[data-since]")) time.textContent = since(time.dataset.since, time.dataset.end, told.now);
  announce(live);
}

/** How many criticals are open that reach a person. */
export const criticals = (told) => told.open.filter((one) => one.severity === "critical" && !one.muted && !one.shadow).length;

function filters(all, again) {
  const make = ([name, word, is]) =>
    el("label", {},
      el("input", { type: "checkbox", checked: chosen.has(name), "data-focus": name,
        change: (event) => { event.target.checked ? chosen.add(name) : chosen.delete(name); again(); } }),
      ` ${word} (${all.filter(is).length})`);
  const sign = ([name, , is]) => `${chosen.has(name)} ${all.filter(is).length}`;
  const box = byId("filters"), legend = box.querySelector("legend");
  legend.remove();
  sync(box, FILTERS, ([name]) => name, sign, make);
  box.prepend(legend);
}

function card(one, told, acts) {
  const id = `a-${one.alert_id}`;
  return el("li", { class: `card ${one.change === "resolve" ? "over" : one.severity}` },
    el("article", { "aria-labelledby": id },
      el("h3", { id },
        el("span", { class: `tag ${one.severity}` }, el("span", { "aria-hidden": "true" }, `${SIGNS[one.severity] ?? ""} `), first(one.severity)),
        el("span", { class: "kind" }, ` ${spaced(one.kind)} `),
        ...flags(one)),
      el("p", { class: "whom" }, subject(one)),
      el("p", { class: "facts" }, el("span", { "data-since": one.start, "data-end": one.end ?? "" }), teams(one)),
      scoring(one),
      one.causes.length > 0 && el("ul", { class: "causes" }, one.causes.map((cause) => el("li", {}, cause))),
      impact(one),
      one.triage && evidence(one.triage),
      one.verdict && given(one.verdict, told.now),
      buttons(one, told, acts)));
}

function flags(one) {
  const words = [
    one.change === "resolve" && "resolved",
    one.muted && "muted",
    one.shadow && "shadow",
    one.reopened > 0 && (one.reopened === 1 ? "came back" : `came back ${one.reopened} times`),
  ];
  return words.filter(Boolean).map((word) => el("span", { class: "tag" }, word));
}

function subject(one) {
  if (one.left_out !== null && one.left_out !== undefined) return `${number(one.left_out)} alerts left out by the daily cap`;
  if (one.user_id === "*") return `${number(one.users)} users together`;
  return [quiet(one.key === "user_id" ? "user " : `${one.key} `), who(one.user_id)];
}

const since = (start, end, now) =>
  end ? `${when(start, now)} to ${clock(end)} UTC, ${duration(seconds(end) - seconds(start))}`
    : `since ${when(start, now)} UTC${now ? `, ${duration(seconds(now) - seconds(start))}` : ""}`;

const teams = (one) => (one.teams?.length ? ` · for ${one.teams.join(" and ")}` : "");

/** The score as a bar with its threshold, and in digits. */
function scoring(one) {
  const most = Math.max(one.score, one.threshold ?? 0, 1) * 1.05, at = (value) => (100 * Math.max(0, value)) / most;
  return el("p", { class: "score" },
    svg("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
      svg("rect", { class: "bed", width: 100, height: 8 }),
      svg("rect", { class: `fill ${one.severity}`, width: at(one.score), height: 8 }),
      one.threshold !== null && svg("rect", { class: "mark", x: at(one.threshold), width: 1, height: 8 })),
    el("span", {}, `score ${score(one.score)}`, one.threshold !== null && ` · threshold ${score(one.threshold)}`));
}

function impact(one) {
  const found = one.impact ?? {};
  const known = (value) => value !== null && value !== undefined;
  const parts = [
    one.tokens > 0 && `${compact(one.tokens)} tokens`,
    known(one.cost_usd) && `${usd(one.cost_usd)} so far`,
    known(found.cost_per_hour_usd) && `${usd(found.cost_per_hour_usd)} an hour`,
    known(found.traffic_share) && `${share(found.traffic_share)} of all tokens`,
    known(found.slo_burn) && `uses up its error budget at ${number(found.slo_burn)} times the allowed rate`,
  ].filter(Boolean);
  return parts.length > 0 && el("p", { class: "facts" }, parts.join(" · "));
}

function evidence(triage) {
  const words = { campaign: "It looks like a campaign", attack: "It looks like an attack", unclear: "Campaign or attack: unclear" };
  const cell = (value) => (typeof value === "number" ? number(value) : value ?? "unknown");
  return el("details", { class: "evidence" },
    el("summary", { "data-focus": "evidence" }, words[triage.verdict] ?? triage.verdict, ": the evidence"),
    el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Evidence of the triage" }, el("table", {},
      el("caption", { class: "quiet" }, "What speaks for a campaign and what for an attack"),
      el("thead", {}, el("tr", {}, ["Evidence", "Now", "Usual", "Points to"].map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, triage.evidence.map((item) => el("tr", {},
        el("th", { scope: "row" }, spaced(item.name)), el("td", {}, cell(item.value)), el("td", {}, cell(item.usual)),
        el("td", { class: "text" }, item.points_to ?? "neither")))))));
}

const given = (verdict, now) => el("p", { class: "given" },
  el("b", {}, `${VERDICTS[verdict.verdict] ?? verdict.verdict}`), " says ", el("bdi", {}, verdict.author),
  verdict.note && [": ", el("bdi", {}, verdict.note)]);

function buttons(one, told, acts) {
  const about = `${spaced(one.kind)}, ${one.user_id === "*" ? "everybody" : one.user_id}`;
  const judge = (verdict) => el("button", { type: "button", "data-focus": `v-${verdict}`, "aria-label": `${VERDICTS[verdict]}: verdict on ${about}`,
    "aria-pressed": String(one.verdict?.verdict === verdict), click: () => acts.judge(one, verdict) }, VERDICTS[verdict]);
  return el("div", { class: "buttons" },
    one.user_id !== "*" && el("button", { type: "button", "data-focus": "timeline", "aria-label": `Timeline: ${about}`, click: () => acts.timeline(one) }, "Timeline"),
    safe(one.runbook_url) && el("a", { class: "button", "data-focus": "runbook", href: one.runbook_url, target: "_blank", rel: "noopener noreferrer",
      "aria-label": `Runbook: ${spaced(one.kind)} (new window)` }, "Runbook"),
    told.verdicts && el("span", { class: "judge", role: "group", "aria-label": `Verdict on ${about}` }, Object.keys(VERDICTS).map(judge)));
}

/** Only an address of the web is linked to. */
const safe = (address) => /^https?:\/\//i.test(address ?? "");

/** Say aloud what is new since the last look. */
function announce(live) {
  const fresh = seen && live.filter((one) => !seen.has(one.alert_id));
  seen = new Set(live.map((one) => one.alert_id));
  if (!fresh?.length) return;
  const told = fresh.slice(0, 3).map((one) => `${one.severity} ${spaced(one.kind)}, ${one.user_id === "*" ? `${one.users} users` : one.user_id}`);
  byId("news").textContent = `New: ${told.join("; ")}${fresh.length > 3 ? `; and ${fresh.length - 3} more` : ""}`;
}
