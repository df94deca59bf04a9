/** The code distance over the epochs, and the mark of the early bird. */

import { line } from "./axes.js";
import { fitted } from "./drawing.js";

const [LOW, HIGH] = [3e-4, 0.3];

/**
 * Draw the distances of an `EarlyBird` on a logarithmic scale.
 *
 * @param {number} first epochs that had passed when the bird began to look
 */
export function drawChart(canvas, bird, first, colours) {
  const context = fitted(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [left, right, top, bottom] = [38, 8, 6, height - 18];
  const count = Math.max(bird.distances.length, 60);
  const px = (epoch) => left + ((width - left - right) * epoch) / (count - 1);
  const py = (distance) => {
    const share = Math.log(Math.min(Math.max(distance, LOW), HIGH) / LOW) / Math.log(HIGH / LOW);
    return bottom - (bottom - top) * share;
  };
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colours.muted;
  context.lineWidth = 1;
  for (const [level, text] of [
    [0.1, "10 %"],
    [0.01, "1 %"],
    [0.001, "0.1 %"],
  ]) {
    context.strokeStyle = colours.muted;
    context.globalAlpha = level === bird.threshold ? 0.9 : 0.25;
    context.setLineDash(level === bird.threshold ? [4, 3] : []);
    line(context, left, py(level), width - right, py(level));
    context.globalAlpha = 1;
    context.textAlign = "right";
    context.fillText(text, left - 5, py(level) + 4);
  }
  context.setLineDash([]);
  context.textAlign = "left";
  context.fillText(first + 1, left, height - 4);
  context.textAlign = "right";
  context.fillText(`epoch ${first + count}`, width - right, height - 4);
  if (!bird.distances.length) {
    context.textAlign = "center";
    context.fillText(
      "Train, and the distance draws itself.",
      (left + width) / 2,
      (top + bottom) / 2 - 7,
    );
  }
  context.beginPath();
  bird.distances.forEach((distance, epoch) => {
    if (!Number.isNaN(distance)) context.lineTo(px(epoch), py(distance));
  });
  context.strokeStyle = colours.accent;
  context.lineWidth = 1.8;
  context.stroke();
  if (bird.epoch !== null) markBird(context, bird, first, px, py, bottom, colours);
}

function markBird(context, bird, first, px, py, bottom, colours) {
  const [x, y] = [px(bird.epoch), py(bird.distances[bird.epoch])];
  context.strokeStyle = colours.boundary;
  context.lineWidth = 1;
  line(context, x, y, x, bottom);
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = colours.boundary;
  context.fill();
  context.textAlign = "left";
  context.fillText(`early bird, epoch ${first + bird.epoch + 1}`, x + 6, bottom - 4);
}
