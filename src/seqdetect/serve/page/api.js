// The service's own answers, and nobody else's.

/** What went wrong, in words for people. */
export class Trouble extends Error {}

export const get = (path) => ask(path, {});
export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(15000) });
  } catch {
    throw new Trouble("the service does not answer");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(told.error ?? `the service answers with ${answer.status}`);
  return told;
}
