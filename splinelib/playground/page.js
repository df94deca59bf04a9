/** The elements of the playground, and which of the session's settings each one sets. */

import { CRITERIA } from "./criteria.js";
import { DATA, makeData } from "./data.js";
import { button, choiceOf, element, group, slider } from "./element.js";
import { LOOKBACK, PROBES, THRESHOLD } from "./session.js";
import { FILLS, RATES } from "./state.js";

const TITLES = {
  cross: "X",
  circles: "Circles",
  spiral: "Spirals",
  moons: "Moons",
  own: "Your own",
};
const FILL_TITLES = { class: "class", slope: "slope", none: "lines only" };

/**
 * @param {Playground} app whose methods the controls call
 * @returns the elements by name
 */
export function buildPage(app) {
  const named = {
    play: button("Train", () => app.togglePlay(), { class: "pg-play" }),
    undo: button("Undo", () => app.undo(), { class: "pg-undo" }),
    reset: button("Start over", () => app.startOver(), { class: "pg-reset" }),
    epoch: element("span", { class: "pg-epoch" }),
    message: element("p", { class: "pg-message", role: "status" }),
    live: element("span", { class: "pg-hidden", "aria-live": "polite" }),
    where: element("div", { class: "pg-where" }),
    chart: element("canvas", { class: "pg-chart", role: "img" }),
    gone: slider(0, 1, 1, (value) => app.setGone(value), {
      class: "pg-gone",
      "aria-label": "Units removed",
    }),
    count: element("output", { class: "pg-count" }),
    first: criterionChoice((value) => app.setCriterion(0, value), "Criterion", false),
    second: criterionChoice(
      (value) => app.setCriterion(1, value),
      "Second criterion, beside",
      true,
    ),
    takeOver: element("input", {
      type: "checkbox",
      class: "pg-take-over",
      change: (event) => app.setTakeOver(event.target.checked),
    }),
    keep: button("Keep this network", () => app.keep(), { class: "pg-keep" }),
    data: dataChoice(app),
    label: labelChoice(app),
    rate: choiceOf(
      RATES.map((rate) => [rate, String(rate)]),
      (value) => app.setRate(Number(value)),
      { class: "pg-rate", "aria-label": "Learning rate" },
    ),
    fill: choiceOf(
      FILLS.map((name) => [name, FILL_TITLES[name]]),
      (value) => app.setFill(value),
      { class: "pg-fill", "aria-label": "Colour of the regions" },
    ),
    layers: element("div", { class: "pg-layers" }),
    file: element("input", {
      type: "file",
      accept: ".json,application/json",
      hidden: true, // the button "Open a network" presses it
      change: (event) => app.openFile(event.target),
    }),
  };
  const pictures = element("div", { class: "pg-pictures" }, ...app.views.map((view) => view.root));
  const children = app.compact
    ? compactPage(named, pictures, app)
    : wholePage(named, pictures, app);
  app.root.replaceChildren(...children, named.live);
  return named;
}

function wholePage(named, pictures, app) {
  return [
    element(
      "div",
      { class: "pg-bar" },
      named.play,
      named.undo,
      named.reset,
      named.epoch,
      element("label", { class: "pg-right" }, "rate ", named.rate),
      element("label", {}, "colour by ", named.fill),
    ),
    named.message,
    element(
      "div",
      { class: "pg-main" },
      element("div", { class: "pg-left" }, pictures, named.where),
      element(
        "div",
        { class: "pg-side" },
        group("problem", "Data", named.data, named.label),
        group("network", "Network", app.diagram.root, named.layers, app.inspector.root),
        pruneGroup(named),
      ),
    ),
    element(
      "div",
      { class: "pg-foot" },
      element(
        "div",
        { class: "pg-history" },
        element(
          "p",
          { class: "pg-hint" },
          `How far the codes of ${PROBES.length / 2} points moved within ${LOOKBACK} epochs. ` +
            `The first epoch below ${100 * THRESHOLD} % is the early bird.`,
        ),
        named.chart,
      ),
      element(
        "div",
        { class: "pg-files" },
        button("Copy a link to this", () => app.copyLink(), { class: "pg-link" }),
        button("Save the network", () => app.saveFile(), { class: "pg-save" }),
        button("Open a network", () => named.file.click(), { class: "pg-open" }),
        named.file,
      ),
    ),
  ];
}

function compactPage(named, pictures, app) {
  const open = element(
    "a",
    { class: "pg-whole", href: app.root.dataset.compact },
    "Open the playground",
  );
  open.addEventListener(
    "click",
    () => (open.href = `${app.root.dataset.compact}#${app.stateText()}`),
  );
  return [
    pictures,
    element(
      "div",
      { class: "pg-bar" },
      named.play,
      unitsRemoved(named),
      open,
    ),
    named.message,
  ];
}

function unitsRemoved(named) {
  return element(
    "label",
    { class: "pg-slide" },
    element("span", {}, "units removed"),
    named.gone,
    named.count,
  );
}

function pruneGroup(named) {
  return group(
    "prune",
    "Prune",
    unitsRemoved(named),
    element(
      "div",
      { class: "pg-row" },
      element("label", {}, "by ", named.first),
      element("label", {}, "beside ", named.second),
    ),
    element(
      "div",
      { class: "pg-row" },
      element("label", {}, named.takeOver, " the others take over"),
      named.keep,
    ),
  );
}

function criterionChoice(action, label, optional) {
  const pairs = Object.keys(CRITERIA).map((name) => [name, name]);
  return choiceOf(optional ? [["", "nothing"], ...pairs] : pairs, action, {
    "aria-label": label,
    class: "pg-criterion",
  });
}

function dataChoice(app) {
  const buttons = [...DATA, "own"].map((name) => {
    const canvas = element("canvas", { width: 72, height: 72, "aria-hidden": "true" });
    const made = button("", () => app.setData(name), {
      class: "pg-data",
      "data-name": name,
      title: TITLES[name],
    });
    made.append(canvas, element("span", {}, TITLES[name]));
    return made;
  });
  return element("div", { class: "pg-choices" }, ...buttons);
}

/** Draw the small pictures of the data. */
export function drawThumbnails(choices, colours) {
  for (const made of choices.children) {
    const context = made.querySelector("canvas").getContext("2d");
    context.clearRect(0, 0, 72, 72);
    if (made.dataset.name === "own") {
      context.fillStyle = colours.muted;
      context.fillRect(33, 20, 6, 32);
      context.fillRect(20, 33, 32, 6);
      continue;
    }
    const { x, y, label } = makeData(made.dataset.name, 1, 0.02);
    for (let i = 0; i < x.length; i++) {
      context.fillStyle = label[i] ? colours.one : colours.zero;
      context.beginPath();
      context.arc(36 + 31 * x[i], 36 - 31 * y[i], 2.6, 0, 7);
      context.fill();
    }
  }
}

function labelChoice(app) {
  const made = [0, 1].map((label) =>
    button(`Class ${label}`, () => app.setLabel(label), { class: "pg-label", "data-label": label }),
  );
  return element(
    "div",
    { class: "pg-own", hidden: true },
    element(
      "span",
      { class: "pg-hint" },
      "Click in the square to add a point, or on a point to take it away.",
    ),
    ...made,
  );
}
