/** Figures of a page that move: each element that `splinelib.plotting` made, once. */

import { element } from "./element.js";
import { Explorer } from "./explorer.js";
import { Settling } from "./settling.js";
import { Stages } from "./stages.js";
import { Tickets } from "./tickets.js";

const KINDS = { explorer: Explorer, early_bird: Settling, stages: Stages, tickets: Tickets };

for (const root of document.querySelectorAll(".sl-live:not(.sl-on)")) {
  try {
    const given = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    root.figure = new KINDS[given.kind](root, given);
    root.classList.add("sl-on"); // from here on the still picture is hidden
  } catch (error) {
    const said = `This figure does not move: ${error.message}`;
    root.querySelector(".sl-side").append(element("p", { role: "status" }, said));
  }
}
