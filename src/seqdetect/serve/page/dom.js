// Elements made by hand. Text goes in as text, never as markup: user ids are chosen by whoever sends requests.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An element with attributes (functions are listeners) and children, of which texts become text nodes. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Characters that show nothing, or turn the direction of writing, by their number; a long name is cut. */
export function shown(name, most = 80) {
  const plain = name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu,
    (one) => `⟨U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  const letters = [...plain];
  return letters.length > most ? `${letters.slice(0, most).join("")}… (${letters.length} characters)` : plain;
}

/** A user's name, kept apart from the direction of the text around it. */
export const who = (name, most) => el("bdi", { class: "who" }, name === "*" ? "everybody" : shown(name, most));

/** Text for one who listens rather than looks. */
export const quiet = (text) => el("span", { class: "quiet" }, text);

/**
 * Make the children of `list` those of `items`, by key: what has not changed stays as it is, with its focus, and what
 * has is made anew, with the focus on the same control.
 */
export function sync(list, items, key, sign, make) {
  const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const held = document.activeElement?.closest?.("[data-focus]");
  const heldIn = held && list.contains(held) ? held.closest("[data-key]")?.dataset.key : null;
  const children = items.map((item) => {
    const old = before.get(key(item)), signature = sign(item);
    if (old && old.dataset.sign === signature) return old;
    const made = make(item);
    made.dataset.key = key(item);
    made.dataset.sign = signature;
    return made;
  });
  children.forEach((child, place) => {
    if (list.children[place] !== child) list.insertBefore(child, list.children[place] ?? null);
  });
  while (list.children.length > children.length) list.lastChild.remove();
  if (heldIn !== null && !held.isConnected) {
    const again = children.find((child) => child.dataset.key === heldIn);
    again?.querySelector(`[data-focus="${held.dataset.focus}"]`)?.focus();
  }
}
