"""Draw the README's picture: a partition, dense and with half of its units pruned.

    python -m tools.opening_picture

writes ``book/_assets/partition_pruned.svg`` and ``partition_pruned_dark.svg``.
"""

from pathlib import Path

import splinelib as sl
from splinelib import plotting

ASSETS = Path(__file__).resolve().parent.parent / "book" / "_assets"
DOMAIN = ((-1.1, 1.1), (-1.1, 1.1))
RATIO = 0.5


def main() -> None:
    points, labels = sl.data.toy("cross", n=600, noise=0.03, seed=0)
    start = sl.models.mlp([2, 16, 16, 2], seed=0)
    dense = sl.training.train(
        start, (points, labels), epochs=60, batch_size=32, weight_decay=0.0, progress=False
    ).model
    small = sl.prune(dense, RATIO, data=points, scope="layerwise", compensate=True)
    parts = [sl.partition(model, DOMAIN) for model in (dense, small)]
    scores = [sl.training.evaluate(model, points, labels) for model in (dense, small)]
    titles = [
        f"{units} units, {len(part):,} regions, {score:.1%} right"
        for units, part, score in zip((32, round(32 * (1 - RATIO))), parts, scores, strict=True)
    ]

    def draw(ax, palette):
        ax.set_axis_off()
        for part, title, left in zip(parts, titles, (0.0, 0.52), strict=True):
            panel = ax.inset_axes([left, 0, 0.48, 1])
            plotting.draw_partition(panel, palette, part)
            panel.set_title(title, fontsize=10)
            panel.set(xticks=[], yticks=[])
        for repeated in ax.figure.legends[1:]:
            repeated.remove()

    alt = f"Two squares cut into regions. Left: {titles[0]}. Right, pruned: {titles[1]}."
    picture = plotting.figure(draw, alt, size=(8.6, 4.9), phone=False)
    picture.save(ASSETS / "partition_pruned.svg")
    picture.save(ASSETS / "partition_pruned_dark.svg", theme="dark")


if __name__ == "__main__":
    main()
