/** The playground on the page: what its controls do, and one frame after the other. */

import { drawChart } from "./chart.js";
import { Diagram } from "./diagram.js";
import { depthName } from "./drawing.js";
import { element, short } from "./element.js";
import { fromJson, toJson } from "./file.js";
import { Inspector } from "./inspector.js";
import { LIMITS, widthsOf } from "./network.js";
import { buildPage, drawThumbnails } from "./page.js";
import { Pointing } from "./pointing.js";
import { Session } from "./session.js";
import { START } from "./start.js";
import { decodeState, encodeState, isState } from "./state.js";
import { followTheme } from "./theme.js";
import { View, describe } from "./view.js";

/** Mini-batches in a second: about 24 passes over the points. */
const SPEED = 240;
const MOST_BATCHES = 12;
/** Milliseconds between two drawings of the diagram and the chart while it trains. */
const CALM = 100;
const LARGEST_FILE = 300_000;

export class Playground {
  /** @param {HTMLElement} root with data-compact, the address of the whole page, for the small form */
  constructor(root) {
    this.root = root;
    this.compact = "compact" in root.dataset;
    this.session = new Session();
    this.session.restore({ network: fromJson(START), epoch: 60 });
    this.selected = this.point = this.cross = null;
    this.label = 1;
    this.playing = false;
    this.last = this.drawnAll = 0;
    this.views = [new View(), new View()];
    this.diagram = new Diagram(
      (layer, unit) => this.select([layer, unit]),
      (input) => this.inspector.cut(input),
    );
    this.inspector = new Inspector(this.session, {
      change: () => this.changed(),
      deselect: () => this.select(null),
    });
    if (this.compact) Object.assign(this.session, { criteria: ["bend", "random"], gone: 16 });
    this.controls = buildPage(this);
    this.views.forEach((view) => new Pointing(this, view));
    root.addEventListener("keydown", ({ key, target }) => {
      if (key === "Delete" && this.selected && target.type !== "range") this.inspector.remove();
    });
    this._watch();
    if (!this.compact && isState(location.hash)) this._readAddress();
    clearTimeout(this.timer); // nothing has been done yet that an address should hold
    requestAnimationFrame((now) => this._frame(now));
  }

  /** Show a sentence, or nothing. */
  say(text) {
    this.controls.message.textContent = text;
  }

  /** Something is not as it was: draw it in the next frame, and put it into the address. */
  changed() {
    this.dirty = true;
    clearTimeout(this.timer);
    if (!this.compact && !this.playing) this.timer = setTimeout(() => this._writeAddress(), 300);
  }

  togglePlay() {
    if (!this.playing && !this.session.points.x.length) {
      this.say(
        "There is nothing to train on: choose a class and click in the square to add points.",
      );
      return;
    }
    this.say("");
    this.playing = !this.playing;
    this.drawnAll = 0;
    if (this.playing) this.session.remember();
    this.changed();
  }

  undo() {
    this.playing = false;
    this.say(this.session.undo() ? "" : "There is nothing to undo.");
    this.select(null);
  }

  startOver(widths) {
    this.say("");
    this.session.startOver(widths);
    this.select(null);
  }

  setGone(count) {
    this.session.gone = count;
    this.changed();
  }

  setCriterion(place, name) {
    const criteria = [...this.session.criteria];
    criteria[place] = name;
    this.session.criteria = criteria.filter(Boolean);
    this.changed();
  }

  setTakeOver(whether) {
    this.session.takeOver = whether;
    this.changed();
  }

  setRate(rate) {
    this.session.rate = rate;
    this.changed();
  }

  setFill(fill) {
    this.session.fill = fill;
    this.changed();
  }

  setData(name) {
    this.say("");
    this.session.setData(name);
    if (name === "own") this.playing = false;
    this.changed();
  }

  setLabel(label) {
    this.label = label;
    this.changed();
  }

  /** Make the network as the first criterion leaves it the one to go on with. */
  keep() {
    this.session.setNetwork(this.views[0].network, { gone: 0 });
    this.select(null);
  }

  select(unit) {
    this.selected = unit;
    this.inspector.show(unit);
    this.changed();
  }

  /** Look at a point of the square: its region, and its region in the network before pruning. */
  look(point, view) {
    this.point = point;
    this.lookedAt = view;
    this.dirty = true;
  }

  stateText() {
    return encodeState(this.session);
  }

  async copyLink() {
    this._writeAddress();
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("The link is copied: whoever opens it sees what you see.");
    } catch {
      this.say("The link is in the address bar: whoever opens it sees what you see.");
    }
  }

  saveFile() {
    const blob = new Blob([toJson(this.session.network)], { type: "application/json" });
    const link = element("a", { href: URL.createObjectURL(blob), download: "network.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async openFile(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    this.attempt(async () => {
      if (file.size > LARGEST_FILE)
        throw new Error("This file is too large to be a network of this size.");
      const network = fromJson(await file.text());
      this.session.setNetwork(network, { epoch: 0, gone: 0 });
      this.say(`Opened ${file.name}.`);
      this.select(null);
    });
  }

  /** Do something that may be refused; then say why, and go on with what there was. */
  async attempt(action) {
    this.say("");
    try {
      await action();
    } catch (error) {
      this.say(error.message);
    }
  }

  _readAddress() {
    this.attempt(() => {
      const state = decodeState(location.hash);
      this.session.replace(state);
      this.playing = false;
      this.select(null);
    });
  }

  _writeAddress() {
    history.replaceState(null, "", `#${this.stateText()}`);
  }

  _watch() {
    followTheme(this.root, (colours) => {
      this.colours = colours;
      if (!this.compact) drawThumbnails(this.controls.data, colours);
      this.dirty = true;
    });
    new ResizeObserver(() => (this.dirty = true)).observe(this.root);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.seen = true;
    new IntersectionObserver(([entry]) => (this.seen = entry.isIntersecting)).observe(this.root);
    if (!this.compact)
      addEventListener("hashchange", () => isState(location.hash) && this._readAddress());
  }

  _frame(now) {
    requestAnimationFrame((next) => this._frame(next));
    const passed = Math.min(now - (this.last || now), 100);
    this.last = now;
    if (!this.seen) return;
    this.playing &&= this.session.points.x.length > 0;
    if (this.playing) this._train(passed);
    // With reduced motion the picture follows the training twice in a second.
    if (this.playing && this.still.matches && now - (this.drawn ?? 0) < 500) return;
    if (!this.dirty) return;
    this.drawn = now;
    this.dirty = false;
    this.draw();
  }

  _train(passed) {
    this.due = Math.min((this.due ?? 0) + (passed * SPEED) / 1000, MOST_BATCHES);
    const batches = Math.floor(this.due);
    this.due -= batches;
    if (!this.session.train(batches)) {
      this.playing = false;
      this.say(
        "Training left the finite numbers; the weights of the epoch before are back. A smaller rate may help.",
      );
    }
    this.changed();
  }

  /** Bring everything on the page up to date. */
  draw() {
    const { session, views } = this;
    const { criteria, gone, takeOver, network, points } = session;
    views.forEach((view, i) => {
      view.root.hidden = i >= criteria.length;
      if (view.root.hidden) return;
      view.update(network, criteria[i], gone, takeOver, points);
      const { point, cross, selected } = this;
      view.draw(points, this.colours, { fill: session.fill, point, cross, selected });
    });
    this.root.classList.toggle("pg-pair", criteria.length > 1);
    if (!this.compact) this._drawWhere();
    // While it trains, what is small is drawn less often than the picture.
    if (this.playing && this.last - this.drawnAll < CALM) return;
    this.drawnAll = this.last;
    this._drawControls();
    if (this.compact) return;
    const left = views.slice(0, criteria.length).map((view) => view.gone);
    this.diagram.draw(network, this.colours, left, this.selected);
    drawChart(this.controls.chart, session.bird, session.firstEpoch, this.colours);
    if (this.selected) this.inspector.refresh();
  }

  _drawControls() {
    const { controls, session } = this;
    controls.play.textContent = this.playing ? "Pause" : "Train";
    controls.play.classList.toggle("pg-on", this.playing);
    controls.gone.max = session.mostGone;
    controls.gone.value = session.gone;
    const all = session.mostGone + widthsOf(session.network).length;
    controls.count.textContent = `${session.gone} of ${all}`;
    if (this.compact) return;
    controls.undo.disabled = !session.past.length;
    controls.epoch.textContent = `epoch ${session.epoch}`;
    controls.first.value = session.criteria[0];
    controls.second.value = session.criteria[1] ?? "";
    controls.takeOver.checked = session.takeOver;
    controls.keep.disabled = !session.gone;
    controls.rate.value = session.rate;
    controls.fill.value = session.fill;
    controls.label.hidden = session.data.name !== "own";
    for (const made of controls.data.children) {
      made.setAttribute("aria-pressed", made.dataset.name === session.data.name);
    }
    for (const made of controls.label.querySelectorAll("button")) {
      made.setAttribute("aria-pressed", Number(made.dataset.label) === this.label);
    }
    const { bird } = session;
    const settled =
      bird.epoch === null
        ? "They have not settled."
        : `They settled at epoch ${session.firstEpoch + bird.epoch + 1}.`;
    controls.chart.setAttribute(
      "aria-label",
      `Code distance over ${bird.distances.length} epochs. ${settled}`,
    );
    this._drawLayers();
  }

  _drawLayers() {
    const widths = widthsOf(this.session.network);
    if (this.shownWidths === String(widths)) return;
    this.shownWidths = String(widths);
    const other = (change) => () => this.startOver(change([...widths]));
    const step = (text, label, change, enabled) =>
      element(
        "button",
        { type: "button", click: other(change), disabled: !enabled, "aria-label": label },
        text,
      );
    const put = (l, width) => (list) => ((list[l] = width), list);
    this.controls.layers.replaceChildren(
      ...widths.map((width, l) =>
        element(
          "span",
          { class: "pg-width" },
          step("−", `One unit less in layer ${l + 1}`, put(l, width - 1), width > 1),
          String(width),
          step("+", `One unit more in layer ${l + 1}`, put(l, width + 1), width < LIMITS.width),
        ),
      ),
      element(
        "span",
        { class: "pg-width" },
        step("− layer", "One layer less", (list) => list.slice(0, -1), widths.length > 1),
        step(
          "+ layer",
          "One layer more",
          (list) => [...list, list.at(-1)],
          widths.length < LIMITS.depth,
        ),
      ),
    );
  }

  _drawWhere() {
    const { where } = this.controls;
    if (!this.point) {
      where.replaceChildren(
        element(
          "p",
          { class: "pg-hint" },
          "Point at a region to read its code and its affine map. Drag a line to move it; click one to work with its unit.",
        ),
      );
      return;
    }
    const [x, y] = this.point;
    const { criteria, gone, network } = this.session;
    const rows = this.views
      .slice(0, criteria.length)
      .map((view) => [view.title.textContent || "here", view.regionAt(x, y)]);
    if (gone) rows.push(["before pruning", describe(network, x, y)]);
    const depth = (l, count) => `border-color: var(--sl-${depthName(l, count)})`;
    where.replaceChildren(
      ...rows.map(
        ([
          title,
          {
            bits,
            map: [dx, dy, constant],
          },
        ]) =>
          element(
            "p",
            { class: "pg-region" },
            element("b", {}, title),
            ...bits.map((code, l) => element("code", { style: depth(l, bits.length) }, code)),
            element("span", {}, `f = ${short(dx)} x ${signed(dy)} y ${signed(constant)}`),
          ),
      ),
    );
  }
}

function signed(value) {
  return value < 0 ? `− ${short(-value)}` : `+ ${short(value)}`;
}

for (const root of document.querySelectorAll(".sl-playground"))
  root.playground = new Playground(root);
