/** A figure of a chapter: networks at stages of their way, several ways beside each other. */

import { Picture } from "./drawing.js";
import { element, regionsOf } from "./element.js";
import { FORMAT, VERSION, layersOf, withOneOutput } from "./file.js";
import { copyNetwork, outputAt } from "./network.js";
import { Overlay } from "./overlay.js";
import { Partition } from "./partition.js";
import { Player } from "./player.js";
import { followTheme } from "./theme.js";

const NOTHING = { x: [], y: [], label: [] };

export class Stages {
  /**
   * @param {HTMLElement} root made by `splinelib.plotting.stages`
   * @param {{ways: Object[], values: string[], label: string, start: number, fill: string,
   *   square: [number, number], hues: ?number[][][], widest: ?number, dashed: number[],
   *   points: [number, number, number][]}} given
   */
  constructor(root, given) {
    this.given = given;
    this.views = given.ways.map(({ stages }, i) => {
      const view = root.querySelectorAll(".sl-view")[i];
      const canvas = element("canvas", { class: "sl-canvas", role: "img" });
      view.querySelector(".sl-picture").append(canvas);
      const picture = new Picture(canvas, given.square);
      const networks = readStages(stages).map(withOneOutput);
      const partition = new Partition();
      const facts = view.querySelector(".sl-facts");
      facts.before(element("p", { class: "sl-told sl-still" }, facts.textContent)); // for print
      const name = given.ways[i].name;
      return { name, canvas, picture, networks, partition, facts, overlay: new Overlay(picture) };
    });
    this.at = given.start;
    const { label, values, start } = given;
    this.player = new Player(label, values, start, (at) => {
      this.at = at;
      this.refresh();
    });
    root.querySelector(".sl-side").replaceChildren(this.player.root);
    followTheme(root, (colours) => {
      this.colours = colours;
      this.refresh();
    });
    const observer = new ResizeObserver(() => this.refresh());
    this.views.forEach((view) => observer.observe(view.canvas));
  }

  /** Draw everything anew in the next frame. */
  refresh() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this.views.forEach((view) => this._draw(view));
    });
  }

  _draw({ name, canvas, picture, networks, partition, facts, overlay }) {
    const { fill, hues, widest, square, dashed, points, values, label } = this.given;
    const network = networks[this.at];
    partition.compute(network, ...square);
    picture.draw(partition, network, NOTHING, this.colours, { fill, hues, widest, cell: -1 });
    overlay.drawDashes(dashed, this.colours);
    const count = regionsOf(partition);
    const right = points.length ? `, ${(100 * shareRight(network, points)).toFixed(1)}% right` : "";
    facts.textContent = count + right;
    canvas.setAttribute("aria-label", `${name}, ${label} ${values[this.at]}: ${count}${right}.`);
  }
}

/** The networks of all stages: each whole, or what is other than in the one before. */
export function readStages(stages) {
  const networks = [];
  for (const stage of stages) {
    if (stage.layers) {
      const file = { format: FORMAT, version: VERSION, activation: "relu", layers: stage.layers };
      networks.push(layersOf(JSON.stringify(file)));
      continue;
    }
    const network = copyNetwork(networks.at(-1));
    stage.at.forEach((at, i) => put(network, at, stage.to[i]));
    networks.push(network);
  }
  return networks;
}

/** Set one number of a network, counted through weight and bias of one layer after the other. */
function put(network, at, value) {
  for (const { weight, bias } of network) {
    for (const numbers of [weight, bias]) {
      if (at < numbers.length) {
        numbers[at] = value;
        return;
      }
      at -= numbers.length;
    }
  }
}

function shareRight(network, points) {
  const right = points.filter(([x, y, label]) => outputAt(network, x, y) > 0 === (label === 1));
  return right.length / points.length;
}
