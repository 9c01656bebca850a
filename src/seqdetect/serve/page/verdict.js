// A person's word on an alert.

import { byId, who } from "./dom.js";
import { post, Trouble } from "./api.js";
import { spaced } from "./words.js";

const AUTHOR = "seqdetect-author";
let about = null, done = () => {};

/** Ask for a verdict on `alert`, with `verdict` chosen already; `then` is called once it is kept. */
export function askVerdict(alert, verdict, then) {
  about = alert;
  done = then;
  const form = byId("verdict-form");
  form.reset();
  form.elements.verdict.value = verdict;
  form.elements.author.value = remembered();
  byId("verdict-about").replaceChildren(spaced(alert.kind), ", ", alert.user_id === "*" ? `${alert.users} users` : who(alert.user_id));
  byId("verdict-error").textContent = "";
  byId("verdict").showModal();
  (form.elements.author.value ? form.elements.note : form.elements.author).focus();
}

byId("verdict-cancel").addEventListener("click", () => byId("verdict").close());
byId("verdict-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = form.querySelector("[type=submit]");
  const said = { model: about.model, alert_id: about.alert_id, verdict: form.elements.verdict.value, author: form.elements.author.value.trim(), note: form.elements.note.value };
  button.disabled = true;
  try {
    await post("api/verdicts", said);
    remember(said.author);
    byId("verdict").close();
    byId("news").textContent = "The verdict is kept.";
    done();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    byId("verdict-error").textContent = `Not kept: ${error.message}.`;
  } finally {
    button.disabled = false;
  }
});

// A browser may refuse to remember, and then asks again.
function remembered() {
  try { return localStorage.getItem(AUTHOR) ?? ""; } catch { return ""; }
}

function remember(author) {
  try { localStorage.setItem(AUTHOR, author); } catch { /* asked for again */ }
}
