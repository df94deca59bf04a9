/** A line across a canvas that one drags up and down, by mouse, pen or finger. */

/** How near to the line a finger takes it, in pixels; elsewhere it scrolls the page. */
const FINGER = 28;
/** How near a mouse is told that it can. */
const MOUSE = 8;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {() => number} where the line lies, in pixels from the top
 * @param {(pixels: number) => void} put move it there
 */
export function dragLevel(canvas, where, put) {
  let held = false;
  const at = (event) => event.clientY - canvas.getBoundingClientRect().top;
  const away = (event) => Math.abs(at(event) - where());
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || (event.pointerType === "touch" && away(event) > FINGER)) return;
    held = true;
    canvas.setPointerCapture(event.pointerId);
    put(at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) put(at(event));
    canvas.style.cursor = held || away(event) < MOUSE ? "ns-resize" : "";
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => (held = false));
  }
  // A finger that moves the line does not scroll the page; the pointer has gone down before.
  canvas.addEventListener(
    "touchstart",
    (event) => held && event.cancelable && event.preventDefault(),
    { passive: false },
  );
}
