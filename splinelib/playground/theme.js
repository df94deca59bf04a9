/** The page is light or dark, and may turn from one to the other. */

import { readColours } from "./drawing.js";

/**
 * Call something with the page's colours, now and whenever they change.
 *
 * @param {HTMLElement} root whose colours they are
 * @param {(colours: Object) => void} action
 */
export function followTheme(root, action) {
  const look = () => action(readColours(root));
  look();
  const observer = new MutationObserver(look);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme", "data-mode"] });
  observer.observe(document.body, {
    attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"], // notebooks say it there
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", look);
}
