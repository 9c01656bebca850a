// Numbers and times as a reader wants them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const few = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const MISSING = "—";

export const number = (value) =>
  value === null || value === undefined ? MISSING : Math.abs(value) >= 100 ? whole.format(value) : few.format(value);
export const compact = (value) => (value === null || value === undefined ? MISSING : short.format(value));
export const score = (value) => (value === null || value === undefined ? MISSING : value.toFixed(2));
export const usd = (value) =>
  value === null || value === undefined ? MISSING : `$${value >= 100 ? whole.format(value) : value.toFixed(value >= 0.1 ? 2 : 4)}`;
export const share = (value) => `${few.format(100 * value)} %`;
export const plural = (count, noun) => `${whole.format(count)} ${noun}${count === 1 ? "" : "s"}`;
export const sum = (counts) => Object.values(counts ?? {}).reduce((all, one) => all + one, 0);
export const first = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const spaced = (kind) => kind.replaceAll("_", " ");

/** A length of time in the one or two units that matter. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.round(s / 86400)} d`;
}

/** Hours and minutes of a moment (ISO-8601 or seconds), in UTC as everywhere else. */
export const clock = (moment) => iso(moment).slice(11, 16);
export const clockSeconds = (moment) => iso(moment).slice(11, 19);
/** With its day where that is not the day of `now`. */
export const when = (moment, now) => {
  const text = iso(moment);
  return now && text.slice(0, 10) === iso(now).slice(0, 10) ? text.slice(11, 16) : `${text.slice(0, 10)} ${text.slice(11, 16)}`;
};
export const iso = (moment) => new Date(typeof moment === "number" ? moment * 1000 : moment).toISOString();
export const seconds = (moment) => Date.parse(moment) / 1000;
