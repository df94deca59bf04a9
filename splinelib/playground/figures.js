/** Figures of a page that move: each element that `splinelib.plotting` made, once. */

import { Explorer } from "./explorer.js";
import { Stages } from "./stages.js";

const KINDS = { explorer: Explorer, stages: Stages };

for (const root of document.querySelectorAll(".sl-live:not(.sl-on)")) {
  const given = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  root.figure = new KINDS[given.kind](root, given);
  root.classList.add("sl-on"); // from here on the still picture is hidden
}
