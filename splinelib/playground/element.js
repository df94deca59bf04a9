/** Making elements of the page in one call. */

/**
 * @param {string} tag
 * @param {Object} attributes functions become listeners ("click": f), true an empty attribute
 * @param {...(Node|string)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false && value !== null)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A button with a label. */
export function button(label, action, attributes = {}) {
  return element("button", { type: "button", click: action, ...attributes }, label);
}

/** A drop-down list of [value, label] pairs. */
export function choiceOf(pairs, action, attributes = {}) {
  const options = pairs.map(([value, label]) => element("option", { value }, label));
  return element(
    "select",
    { change: (event) => action(event.target.value), ...attributes },
    ...options,
  );
}

/** A slider. */
export function slider(min, max, step, action, attributes = {}) {
  const input = (event) => action(Number(event.target.value));
  return element("input", { type: "range", min, max, step, input, ...attributes });
}

/** A group of controls under a heading. */
export function group(name, title, ...children) {
  return element(
    "fieldset",
    { class: `pg-group pg-${name}` },
    element("legend", {}, title),
    ...children,
  );
}

/** A number for people. */
export function short(value) {
  return value
    .toFixed(2)
    .replace(/^-(?=0\.00$)/, "")
    .replace("-", "−");
}

/** A share as a percentage. */
export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** How many regions a partition has, and how many cuts were too fine for its arithmetic. */
export function regionsOf({ cellCount, undecided }) {
  const count = `${cellCount.toLocaleString("en")} ${cellCount === 1 ? "region" : "regions"}`;
  return undecided ? `${count}, cuts too fine to decide: ${undecided}` : count;
}

/** What colours stand for, in words of the page: colour of the palette -> words. */
export function keyOf(names) {
  const named = Object.entries(names).map(([colour, text]) => {
    const patch = element("i", { style: `background: var(--sl-${colour})` });
    return element("span", {}, patch, text);
  });
  return element("p", { class: "sl-key" }, ...named);
}
