// The page: asks the service from time to time and shows what it says.

import { get, Trouble } from "./api.js";
import { criticals, showAlerts } from "./alerts.js";
import { byId, el } from "./dom.js";
import { showTimeline } from "./timeline.js";
import { showUsers } from "./users.js";
import { askVerdict } from "./verdict.js";
import { showVitals } from "./vitals.js";
import { clock, clockSeconds } from "./words.js";

const EVERY_MS = 2500, HIDDEN_MS = 15000;
const state = { alerts: null, by: "score", model: null, timeline: null, chosen: false, answered: null };
let timer = 0, under = null;

const acts = {
  order: (by) => { state.by = by; refresh(); },
  timeline: async (one) => {
    state.timeline = one.timeline;
    state.chosen = true;
    byId("timeline").hidden = false;
    await refresh();
    byId("timeline-title").focus();
    byId("timeline").scrollIntoView({ block: "nearest" });
  },
  judge: (alert, verdict) => askVerdict(alert, verdict, async () => {
    await refresh();
    byId("list").querySelector(`[data-key="${CSS.escape(`${alert.model}/${alert.alert_id}`)}"] [data-focus="v-${verdict}"]`)?.focus();
  }),
};

/** Ask for everything; one round at a time, of which the last one counts. */
function refresh() {
  clearTimeout(timer);
  under = (under ?? Promise.resolve()).then(round).finally(() => {
    clearTimeout(timer);
    timer = setTimeout(refresh, document.hidden ? HIDDEN_MS : EVERY_MS);
  });
  return under;
}

async function round() {
  try {
    const [alerts, health] = await Promise.all([get("api/alerts"), get("api/health")]);
    state.alerts = alerts;
    const model = shownModel(alerts.models);
    const critical = criticals(alerts);
    document.title = critical > 0 ? `(${critical} critical) seqdetect` : "seqdetect";
    showAlerts(alerts, acts);
    showVitals(health, alerts, critical);
    byId("clock").textContent = alerts.now ? `scored up to ${alerts.now.slice(0, 10)} ${clockSeconds(alerts.now)} UTC` : "nothing scored yet";
    if (model) showUsers(await get(`api/users?${new URLSearchParams({ model: model.name, by: state.by })}`), model, acts);
    await timeline(alerts);
    say(health.ok ? "Running" : `Attention: ${health.state}`, health.ok ? "good" : "bad");
    state.answered = new Date();
  } catch (error) {
    if (!(error instanceof Trouble)) {
      say("This page has failed; reload it", "bad");
      throw error;
    }
    const since = state.answered ? `; what is shown is of ${clock(state.answered.toISOString())} UTC` : "";
    say(`Trouble: ${error.message}${since}`, "bad");
  }
}

/** Until somebody chooses, the timeline is that of the worst alert. */
async function timeline(alerts) {
  const worst = alerts.open.find((one) => one.user_id !== "*" && !one.muted && !one.shadow);
  if (!state.chosen && worst) state.timeline = worst.timeline;
  if (!state.timeline) return;
  const answer = await get(`${state.timeline}&minutes=${byId("minutes").value}`);
  showTimeline(answer, state.chosen ? "" : "Chosen for the worst alert of one user.");
}

function say(text, kind) {
  const line = byId("state");
  if (line.textContent !== text) line.textContent = text;
  line.className = `state ${kind}`;
}

/** The model whose users are shown, and the choice where there are several. */
function shownModel(models) {
  const names = models.map((one) => one.name), select = byId("models");
  if ([...select.options].map((one) => one.value).join("\n") !== names.join("\n")) {
    select.replaceChildren(...models.map((one) => el("option", { value: one.name }, `${one.name}${one.shadow ? " (shadow)" : ""}`)));
  }
  if (!names.includes(state.model)) state.model = names[0] ?? null;
  if (state.model) select.value = state.model;
  byId("models-choice").hidden = names.length < 2;
  return models.find((one) => one.name === state.model);
}

byId("models").addEventListener("change", (event) => { state.model = event.target.value; refresh(); });
byId("minutes").addEventListener("change", () => refresh());
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
await refresh();
document.documentElement.dataset.ready = "yes";
