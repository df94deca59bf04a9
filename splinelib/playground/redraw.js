/** Drawing when there is reason to, once a frame at most. */

import { followTheme } from "./theme.js";

/**
 * Call `draw` with the page's colours: when they change, when a canvas gets another size, and when
 * the function that this returns is called.
 *
 * @param {HTMLElement} root whose colours they are
 * @param {HTMLCanvasElement[]} canvases
 * @param {(colours: Object) => void} draw
 */
export function redrawn(root, canvases, draw) {
  let due = null;
  let colours = null;
  const ask = () => {
    due ??= requestAnimationFrame(() => {
      due = null;
      draw(colours);
    });
  };
  followTheme(root, (now) => {
    colours = now;
    ask();
  });
  const observer = new ResizeObserver(ask);
  canvases.forEach((canvas) => observer.observe(canvas));
  return ask;
}
