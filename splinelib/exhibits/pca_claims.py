"""What chapter 14 says in words, as sentences and whether the values carry them."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ..experiments.truncated_orders import DIRECTIONS, GOES
from ..experiments.truncations import correlation
from ..scores.truncation import BY, components_for, fewest_possible, random_components, truncate
from . import pca, pca_views
from .pca import Study

Claims = Iterator[tuple[str, bool]]
FEW = (2, 4, 8)  # directions, of so few that distances say nothing of norms


def of_views(normals: Tensor, pair: tuple[int, int], components: int) -> Claims:
    """Of two units of a layer that look alike along some directions."""
    rows = pca_views.unit_rows(normals)
    view, exact = truncate(rows, components), rows @ rows.T
    low, high = view.cosine_range
    seen, true = float(view.cosines[pair]), float(exact[pair])
    yield "they have much in common as seen, and little in truth", seen > 0.5 and abs(true) < 0.3
    yield "the bar holds the true cosine", float(low[pair]) <= true <= float(high[pair])
    yield "it is wide", float(high[pair] - low[pair]) > 0.8
    error = float((view.cosines - exact).abs().fill_diagonal_(0).max())
    yield "the bound of all pairs is about twice the largest error", 1 < view.largest / error < 3
    yield "and says next to nothing at 16 directions", view.largest > 0.8
    eigenvalues = float(view.spectrum[components : components + 2].sum())
    yield "that from the eigenvalues says nothing at all", eigenvalues > 2
    strong = correlation(normals.norm(dim=1), view.left_out)
    yield "what is long lies in the leading directions", strong < -0.5
    seen_close, close = (int(pca_views.close_pairs(cosines)) for cosines in (view.cosines, exact))
    yield "of the pairs that look close hardly any are", close < 0.2 * seen_close


def of_components(layers: dict[str, Tensor]) -> Claims:
    """Of how many directions an accuracy of all pairs needs."""
    for normals in layers.values():
        for accuracy in (0.5, 0.1):
            spectrum, units, pairs, truth = (
                components_for(normals, accuracy, by) for by in (*BY[:3][::-1], BY[3])
            )
            yield "each kind of knowledge saves directions", truth < pairs < units < spectrum
            least, random = (
                fewest_possible(normals, accuracy),
                random_components(len(normals), accuracy),
            )
            yield "random directions need more than there are", random > min(normals.shape)
            yield "no reduction could do with a handful at 0.1", accuracy > 0.1 or least > 8
        truth = components_for(normals, 0.1, "truth")
        pairs = components_for(normals, 0.1, "pairs")
        yield "PCA itself needs at least seven tenths as many", truth > 0.7 * pairs
        at_tenth = components_for(normals, 0.1, "pairs") / min(normals.shape)
        yield "at 0.1 more than half of all directions are needed", at_tenth > 0.5


def of_twins(etas, found: dict[float, tuple[float, float]]) -> Claims:
    """Of twins that differ in a discarded direction; `found` as `pca_views.twins_apart` gives."""
    energies, moved = np.transpose(list(found.values()))
    yield "the energy left out goes to zero", energies[np.argmin(etas)] < 1e-3
    yield "the change stays what it is", np.ptp(moved) < 1e-3 and np.allclose(moved, 1, atol=1e-3)


def of_records(study: Study) -> Claims:
    """Of networks pruned after a PCA, and by lot."""
    for end in study.ends:
        for metric in study.metrics:
            found = {which: pca.difference(study, end, metric, which) for which in pca.COMPARISONS}
            if metric != "data":
                yield "PCA to 16 is better than the whole distance", found["PCA − whole"].sign == 1
                yield (
                    "both are worse than lines drawn by lot",
                    (found["whole − lot"].sign == found["PCA − lot"].sign == -1),
                )
                yield "the trailing directions do better still", found["trailing − PCA"].sign == 1
            else:
                yield "in the metric of data PCA changes little", abs(found["PCA − whole"].mean) < 2
                yield "and the whole is near the lot", -4 < found["whole − lot"].mean < 1
        if end[1] == "refit":
            gained = pca.difference(study, end, "identity", "PCA − whole").mean
            yield "after a refit PCA gains ten points or so", gained > 9.5
        whole = study.test(end, "identity", DIRECTIONS[0], study.whole)
        random = pca.interval(whole - study.rival(end, "random"))
        yield "the whole distance is worse than units at random", random.sign == -1
        by_either = pca.difference(study, end, "identity", "whole − lot", GOES[1])
        yield "even if a lot says which of a pair goes, the close pairs are", by_either.sign == -1
        norm = pca.interval(study.rival(end, "magnitude") - study.lot(end))
        yield "magnitude is no worse than the lot", norm.mean > 0
        either = pca.interval(study.lot(end) - study.lot(end, GOES[1]))
        yield "that the weaker goes is most of what the lot is worth", either.low > 1
        gains = leading_over_lot(study, end)
        yield (
            "no number of leading directions of any metric gains two points on the lot",
            max(one.mean for one in gains.values()) < 2,
        )
        few = [gains["identity", count].sign for count in (1, *FEW)]
        yield "in the weights 8 or fewer are not told from it", not any(few)


def leading_over_lot(study: Study, end) -> dict[tuple[str, int], pca.Interval]:
    """Points that leading directions have over the lot, in each metric and of each number."""
    return {
        (metric, count): pca.interval(
            study.test(end, metric, DIRECTIONS[0], count) - study.lot(end)
        )
        for metric in study.metrics
        for count in study.components
    }


def of_either(study: Study) -> Claims:
    """Of a lot that says which of a close pair goes, in the metric of data."""
    for end in study.ends:
        found = pca.difference(study, end, "data", "whole − lot", GOES[1])
        yield "in the data close pairs are told from others at no end", found.sign == 0


def of_loudness(study: Study) -> Claims:
    """Of why: norms and distances."""
    mean = {name: values.mean(0) for name, values in pca.loudness(study).items()}
    weights, implied, data = (mean[pca.NAMES[metric]] for metric in study.metrics)
    yield "in the weights the long ones are the close ones", weights[-1] < -0.7
    yield "in the implied moments less so", weights[-1] < implied[-1] - 0.1 < -0.3
    yield "in the data they are not", abs(data[-1]) < 0.15
    few = [study.components.index(count) for count in FEW]
    left = np.abs([weights[few], implied[few]]).max()
    yield "along a few directions nothing of it is left", left < 0.15
    for end in study.ends:
        points = np.concatenate(list(pca.explained(study, end).values()), axis=1)
        loud, over = points[:, np.tile(study.components, len(study.metrics)) > 1]
        yield "the more of it is left, the less right", correlation(loud, over) > 0.8


def of_needs(study: Study) -> Claims:
    """Of the directions that an accuracy of 0.1 needs, over networks."""
    for layer in (1, 2):
        need = {
            metric: np.array(pca.needed(study, metric, layer, 0.1, "pairs"))
            for metric in study.metrics
        }
        yield (
            "data need less than half of what weights need",
            (need["data"].max() < 0.5 * need["identity"].min()),
        )


def of_vgg(study: Study) -> Claims:
    """Of the convolutional network."""
    loud = loud_by_layer(study)
    yield "norm and distance do not hang together in any layer", np.abs(loud).max() < 0.15
    for end in study.ends:
        found = {which: pca.difference(study, end, "identity", which) for which in pca.COMPARISONS}
        yield "none of the comparisons tells two apart", not any(o.sign for o in found.values())
        whole = found["whole − lot"]
        if end == (0.1, "nothing"):
            yield "with a tenth removed the whole lies well under the lot", whole.mean < -4
            yield "its interval ends near zero", abs(whole.high) < 1
        if end[1] == "refit":
            yield "after the refit the whole is close to the lot", abs(whole.mean) < 2
            narrow = found["PCA − whole"].high < 5
            yield "after the refit a gain half as large as that of perceptrons is excluded", narrow
    few = [np.mean(pca.needed(study, "identity", layer, 0.1, "pairs")) for layer in range(9, 14)]
    yield "in the last layers all but a tenth or so of 128 directions are needed", min(few) > 110


def loud_by_layer(study: Study) -> list[float]:
    """Rank correlation of norm and whole distance in the metric of weights, for each layer."""
    layers = sorted({entry["layer"] for entry in study.views})
    return [
        float(pca.loudness(study, layer)[pca.NAMES["identity"]][:, -1].mean()) for layer in layers
    ]
