// How the service is.

import { byId, el } from "./dom.js";
import { compact, duration, number, sum } from "./words.js";

/** Show the figures as a row of cards. */
export function showVitals(told, alerts, critical) {
  const rejected = sum(told.rejected), failing = Object.entries(told.failures).filter(([, count]) => count > 0);
  const queued = sum(told.queued), refused = sum(told.refused);
  const warnings = alerts.open.filter((one) => one.severity === "warning" && !one.muted && !one.shadow).length;
  const cards = [
    ["Critical", number(critical), `and ${number(warnings)} at warning`, critical > 0 && "bad"],
    ["Events", told.events_per_s === null ? "—" : `${compact(told.events_per_s)}/s`, `${compact(told.read)} read`],
    ["Behind", told.lag_s === null ? "—" : duration(told.lag_s), "wall clock less event time"],
    ["Rejected", compact(rejected), reasons(told.rejected) || `of ${compact(told.read)}`, rejected > 0.01 * told.read && "warn"],
    ["Late", compact(told.late), "came after their tick", told.late > 0.01 * told.read && "warn"],
    ["Waiting", compact(told.waiting ?? 0), "events not scored yet"],
    ["Users", compact(Math.max(0, ...Object.values(told.users))), "remembered"],
    ["Outputs", failing.length || queued || refused ? `${compact(queued)} queued` : "good",
      failing.length ? `${failing.map(([name, count]) => `${name} failed ${number(count)} times`).join(", ")}` : `${compact(sum(told.delivered))} changes out`,
      (queued > 0 || refused > 0) && "warn"],
    ["Checkpoint", told.checkpoint_age_s === null ? "—" : duration(told.checkpoint_age_s), told.checkpoint_errors ? `${number(told.checkpoint_errors)} failed` : "old", told.checkpoint_errors > 0 && "warn"],
  ];
  byId("vitals").replaceChildren(...cards.map(([name, value, more, state]) =>
    el("div", { class: state || false }, el("dt", {}, name), el("dd", {}, el("b", {}, state === "warn" && el("span", { "aria-label": "attention: " }, "! "), value), el("span", { class: "below" }, more)))));
}

const reasons = (rejected) =>
  Object.entries(rejected).sort((a, b) => b[1] - a[1]).slice(0, 2).map(([reason, count]) => `${reason.replaceAll("_", " ")} ${number(count)}`).join(", ");
