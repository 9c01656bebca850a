// The users at the top of the last hour.

import { byId, el, svg, who } from "./dom.js";
import { compact, score, usd } from "./words.js";

const COLUMNS = [
  ["score", "Score", (one) => one.score, score],
  ["tokens", "Tokens", (one) => one.prompt_tokens + one.completion_tokens, compact],
  ["cost", "Cost", (one) => one.cost_usd, usd],
];

/** Show the ranking; `acts.order(by)` asks for another, `acts.timeline(user)` for a user's steps. */
export function showUsers(told, model, acts) {
  const columns = COLUMNS.filter(([name]) => name !== "cost" || model.priced);
  const held = document.activeElement?.dataset?.focus, inside = byId("ranking").contains(document.activeElement);
  const most = Math.max(1e-9, ...told.users.map(columns.find(([name]) => name === told.by)?.[2] ?? (() => 0)));
  const head = ([name, word]) => el("th", { scope: "col", "aria-sort": told.by === name ? "descending" : false },
    el("button", { type: "button", class: "sort", "data-focus": `by-${name}`, click: () => acts.order(name) }, word));
  const row = (one, place) => el("tr", {},
    el("th", { scope: "row" },
      el("button", { type: "button", class: "name", "data-focus": `u-${place}`, click: () => acts.timeline({ ...one, user_id: one.user }) }, who(one.user, 40))),
    columns.map(([name, , value, format]) => el("td", {},
      name === told.by && svg("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
        svg("rect", { class: "fill", width: Math.max(0, (100 * value(one)) / most), height: 8 })),
      format(value(one)))));
  byId("ranking").replaceChildren(told.users.length === 0 ? el("p", { class: "none" }, "Nobody has sent anything in the last hour.")
    : el("div", { class: "scroll" }, el("table", { class: "ranking" },
      el("caption", { class: "key" }, `The last hour of event time in ten-minute spans, up to ${told.now.slice(0, 16).replace("T", " ")} UTC. A score is the largest of the hour.`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, model.key === "user_id" ? "User" : model.key), columns.map(head))),
      el("tbody", {}, told.users.map(row)))));
  if (inside && held) byId("ranking").querySelector(`[data-focus="${held}"]`)?.focus();
}
