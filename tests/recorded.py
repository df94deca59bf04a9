"""Small valid records, made up by hand: what tests of tables and figures look at.

All numbers are round, so that a test can say what it expects: a dense network of 100 channels,
1,000 weights and 1,000,000 multiply-accumulates that costs 1 PFLOP, unless a test asks for
others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from splinelib import experiments
from splinelib.experiments import (
    order_records,
    pitch_records,
    rival_records,
    share_records,
    slice_records,
    transformer_records,
    transformers,
    truncated_orders,
    truncation_records,
    truncations,
)
from splinelib.scores.truncation import BY

ACCURACY, COST, SECONDS = 0.9, 1.0, 60.0
SIZE = {"channels": 100, "parameters": 1000, "macs": 1_000_000, "latency": 0.01, "batch_size": 16}
PROVENANCE = {
    "commit": "0123456789abcdef",
    "uncommitted_changes": False,
    "hardware": {"processor": "a processor", "cores": 4, "threads": 1, "gpu": None},
    "versions": {"python": "3.11.0", "torch": "2.11.0"},
    "finished": "2026-01-02T03:04:05Z",
}


def record(
    *tickets: dict,
    accuracy: float = ACCURACY,
    history: Sequence[float] | None = None,
    drawn_after: int | None = None,
    settled_epoch: int | None = None,
    masks: Sequence[dict] = (),
    name: str | None = None,
    **settings,
) -> dict:
    """A record of a run with these tickets.

    Parameters
    ----------
    *tickets : dict
        As `ticket` makes them.
    accuracy : float
        Test accuracy of the dense network, in [0, 1].
    history : sequence of float, optional
        Its test accuracy after every epoch. Default: `accuracy` all the way.
    drawn_after : int, optional
        Epoch, from 0, after which tickets are drawn. Default: when the codes settled, or the last
        epoch that the protocol allows.
    settled_epoch : int, optional
        When the codes settled. Default: never.
    masks : sequence of dict
        What the record says of the rule on masks, as `masks` makes it.
    name : str, optional
        Default: the protocol's own.
    **settings
        `Protocol`'s; without them VGG-16 of quarter width on CIFAR-10, 8 epochs. ``channels``,
        ``parameters``, ``macs``, ``latency``, ``pflop``, ``seconds``, ``provenance`` and
        ``shape`` are those of the dense network instead.
    """
    of_dense = {key: settings.pop(key) for key in (*SIZE, *_OTHERS) if key in settings}
    shape = settings.pop("shape", [3, 32, 32])
    few = {"network": "vgg16", "dataset": "cifar10", "width": 0.25, "epochs": 8}
    protocol = experiments.Protocol(**few | settings)
    if drawn_after is None:
        allowed = protocol.last_draw
        drawn_after = allowed if settled_epoch is None else min(settled_epoch, allowed)
    early = settled_epoch is not None and drawn_after == settled_epoch
    dense = _result(protocol, {"accuracy": accuracy, "history": history} | of_dense, 0)
    return {
        "schema": 1,
        "name": name or protocol.name,
        "command": experiments.command(protocol, [experiments.Ticket.of(t) for t in tickets], name),
        "protocol": asdict(protocol),
        "dataset": {
            **{"train": 50_000, "validation": 0, "test": 10_000, "classes": 10},
            "shape": list(shape),
        },
        "dense": dense,
        "early_bird": {
            "settled_epoch": settled_epoch,
            "drawn_after": drawn_after,
            "reason": "early bird" if early else "latest epoch allowed",
            "probe": 256,
            "distances": [None, *[0.1] * (protocol.epochs - 1)],
            "matrix": [
                [0.1 * (a != b) for a in range(protocol.epochs)] for b in range(protocol.epochs)
            ],
            "per_layer": [{}, *[{"features.0": 0.1}] * (protocol.epochs - 1)],
            "seconds": 1.0,
            "masks": list(masks),
        },
        "tickets": [_ticket(protocol, entry, drawn_after) for entry in tickets],
    }


def ticket(method: str, ratio: float, accuracy: float = ACCURACY, **results) -> dict:
    """A ticket of `record`; what it does not say is completed there.

    Parameters
    ----------
    method : str
        As for `Ticket.parse`: ``"spline@residual+refit"``, ``"lottery:magnitude"``, ...
    ratio : float
        Share of the units removed.
    accuracy : float
        On the test images at the end, in [0, 1].
    **results
        ``before`` (accuracy right after the cut; default 0.1), ``history`` (test accuracy after
        each epoch of its own), ``drawn_after``, ``widths``, ``dense_latency``, and
        ``channels``, ``parameters``, ``macs``, ``latency``, ``pflop``, ``seconds``, ``provenance``.
    """
    drawn = experiments.Ticket.parse(method, ratio)
    return {**asdict(drawn), "accuracy": accuracy, **results}


def masks(criterion: str, ratio: float, settled_epoch: int | None) -> dict:
    """When the masks of a criterion at a ratio settled, as a record has it."""
    return {"criterion": criterion, "ratio": ratio, "settled_epoch": settled_epoch, "rows": []}


def one_shot(of: dict, *entries: tuple[str, float, float], **changed) -> dict:
    """A one-shot record of the run `of`, its entries as (method, ratio, accuracy)."""
    made = []
    for method, ratio, accuracy in entries:
        drawn = asdict(experiments.Ticket.parse(method, ratio))
        del drawn["rule"]
        sizes = {"parameters": 500, "macs": 500_000}
        made.append({**drawn, "test_accuracy": accuracy, **sizes, "seconds": 2.0})
    whole = {
        "schema": 1,
        "kind": "one-shot",
        "name": of["name"],
        "command": f"python -m splinelib oneshot {of['name']}",
        "run": {"command": of["command"], "commit": of["dense"]["provenance"]["commit"]},
        "calibration": of["protocol"]["calibration"],
        "dense_accuracy": of["dense"]["test_accuracy"],
        "entries": made,
        "provenance": PROVENANCE,
    }
    return whole | changed


_OTHERS = ("pflop", "seconds", "provenance")


def _ticket(protocol: experiments.Protocol, given: Mapping, drawn_after: int) -> dict:
    drawn = experiments.Ticket.of(given)
    after = given.get("drawn_after", protocol.epochs - 1 if drawn.lottery else drawn_after)
    return {
        **asdict(drawn),
        "drawn_after": after,
        "scoring_seconds": 1.0,
        "accuracy_before_training": given.get("before", 0.1),
        "widths": given.get("widths", {"features.0": [100, 50], "classifier": [10, 10]}),
        "dense_latency": given.get("dense_latency", SIZE["latency"]),
        "timed_in_turns": True,
        **_result(protocol, given, 0 if drawn.lottery else after + 1),
    }


def _result(protocol: experiments.Protocol, given: Mapping, start: int) -> dict:
    """What dense networks and tickets have in common; rows from epoch `start` on."""
    reached = given.get("history") or [given["accuracy"]] * (protocol.epochs - start)
    if len(reached) != protocol.epochs - start:
        raise ValueError(f"{len(reached)} accuracies for {protocol.epochs - start} epochs.")
    cost, seconds = given.get("pflop", COST), given.get("seconds", SECONDS)
    rows = [
        {
            "epoch": epoch,
            "learning_rate": protocol.lr
            / 10 ** sum(epoch >= protocol.epochs * s for s in (0.5, 0.75)),
            "loss": 1.0,
            "train_accuracy": accuracy,
            "test_accuracy": accuracy,
            "seconds": seconds / len(reached),
        }
        for epoch, accuracy in enumerate(reached, start)
    ]
    return {
        "test_accuracy": given["accuracy"],
        "history": rows,
        "size": {key: given.get(key, value) for key, value in SIZE.items()},
        "flops": {"dense": cost * 1e15},
        "pflop": cost,
        "units": cost / 0.05,
        "seconds": seconds,
        "provenance": given.get("provenance", PROVENANCE),
    }


def starts_record(
    data=("cross", "digits"), factors=(2, 4), accuracy=None, lines=None, seeds: int = 3
) -> dict:
    """A record of ways to a small network, as `experiments.starts` makes them.

    Parameters
    ----------
    data, factors : sequence
        Conditions, all of one hidden layer of four units.
    accuracy : callable, optional
        ``accuracy(data, factor, way, budget)``; the seeds are a hundredth apart.
    lines : callable, optional
        ``lines(data, factor, way, budget)``.
    seeds : int
    """
    ways = ["wide", "pruned: lsq", "pruned: magnitude", "pruned: spline", "pruned: random"]
    rows = [(factor, way, "epochs") for factor in factors for way in [*ways, "lottery"]]
    rows += [
        (factor, way, "flops")
        for factor in factors
        for way in ("random", "spread", "layerwise", "restarts")
    ]
    rows += [(1, way, "epochs") for way in ("random", "spread", "layerwise")]
    accuracy = accuracy or (lambda *_: 0.5)
    lines = lines or (lambda *_: 4)
    entries = []
    for name in data:
        for key in rows:
            values = [accuracy(name, *key) + 0.01 * seed for seed in range(seeds)]
            counted = [lines(name, *key)] * seeds
            entries.append(
                {
                    **dict(zip(("factor", "way", "budget"), key, strict=True)),
                    **{"data": name, "depth": 1, "width": 4, "restarts": 1, "rate": 0.1},
                    **{"steps": 16, "flops": 1e5, "validation": values, "test": values},
                    **{"lines_before": counted, "lines": counted},
                }
            )
    return {
        **{"schema": 1, "kind": "starts", "name": "map", "command": "python -m splinelib starts"},
        **{"settings": {"seeds": seeds}, "entries": entries, "seconds": 1.0},
        "provenance": PROVENANCE,
    }


def pca_record(accuracy=None, loud=None, seeds: int = 3, metrics=None, ends=None) -> dict:
    """A record of prunings after a PCA, as `experiments.truncations` makes them.

    Parameters
    ----------
    accuracy : callable, optional
        ``accuracy(order, ratio, compensate)`` of each order; the seeds are a thousandth apart.
    loud : callable, optional
        ``loud(metric, layer, components)``.
    seeds : int
    metrics : sequence of str, optional
        Default: all.
    ends : sequence of (ratio, compensate), optional
    """
    metrics, components = metrics or truncated_orders.METRICS, (1, 2, 4, 8, 16, 4096)
    ends = ends or ((0.5, "nothing"), (0.9, "refit"))
    accuracy, loud = accuracy or (lambda *_: 0.5), loud or (lambda *_: 0.0)

    def over(value: float) -> list[float]:
        return [value + 0.001 * seed for seed in range(seeds)]

    orders = [
        {**asdict(order), "ratio": r, "compensate": c, "test": over(accuracy(order, r, c))}
        for r, c in ends
        for order in truncations.orders(metrics, components)
    ]
    rivals = [
        {"criterion": name, "ratio": r, "compensate": c, "test": over(0.5)}
        for r, c in ends
        for name in truncation_records.RIVALS
    ]
    about = [(metric, layer) for metric in metrics for layer in (1, 2)]
    views = [
        {
            **{"metric": metric, "layer": layer, "components": count},
            **{part: [0.25] * seeds for part in ("left_out", "bound", "error")},
            "loud": [loud(metric, layer, count)] * seeds,
        }
        for metric, layer in about
        for count in components
    ]
    needs = [
        {"metric": metric, "layer": layer, "accuracy": accuracy, "by": by, "components": counts}
        for metric, layer in about
        for accuracy in truncations.ACCURACIES
        for by, counts in zip(BY, ([8, 9, 10], [12] * 3, [16] * 3, [6] * 3), strict=True)
    ]
    return {
        **{"schema": 1, "kind": "pca", "name": "mlp", "command": "python -m splinelib pca"},
        "settings": {"network": "mlp", "width": 1.0, "epochs": 1, "seeds": seeds},
        **{"dense": over(0.9), "orders": orders, "rivals": rivals},
        **{"views": views, "needs": needs, "seconds": 90.0, "provenance": PROVENANCE},
    }


def slices_record(factor=None, seeds: int = 3) -> dict:
    """A record of local complexity over training, as `experiments.slices` makes them.

    Parameters
    ----------
    factor : callable, optional
        ``factor(network, epoch, kind)`` times 100 regions. Default: one.
    seeds : int
    """
    entries = []
    for seed in range(seeds):
        for network, epochs in (("dense", range(5)), ("pruned", range(2, 5))):
            for epoch in epochs:
                for kind in slice_records.KINDS:
                    regions = round(100 * (factor(network, epoch, kind) if factor else 1))
                    head = {"seed": seed, "network": network, "epoch": epoch, "kind": kind}
                    head |= {"radius": 0.5, "accuracy": 0.9}
                    counts = {"regions": [regions, regions + seed], "units": [10, 11]}
                    entries.append(head | counts)
    settings = {"points": 2, "epochs": 4, "milestones": [3], "network": "vgg16"}
    return {
        **{"schema": 1, "kind": "slices", "name": "digits"},
        **{"command": "python -m splinelib slices", "settings": settings, "seconds": 60.0},
        **{"provenance": PROVENANCE, "entries": entries},
        "birds": [{"seed": s, "epoch": 2, "settled": True} for s in range(seeds)],
    }


ROUTES = ("codes 4", "codes 8", "pixels 8", "codes 8 longer", "static", "early exit")


def routes_record(accuracy=None, seconds=None, seeds: int = 3) -> dict:
    """A record of routed small networks, as `experiments.routes` makes them.

    Parameters
    ----------
    accuracy : callable, optional
        ``accuracy(way, width)``; the seeds are a hundredth apart.
    seconds : callable, optional
        ``seconds(way, width)`` for an image by itself, of which a hundredth is that of many.
    seeds : int
    """
    accuracy, seconds = accuracy or (lambda *_: 0.5), seconds or (lambda *_: 1e-4)
    kinds = [("dense", 64), *((way, width) for width in (16, 8) for way in ROUTES)]
    kinds.remove(("early exit", 8))  # it would cost more than the ticket
    return {
        **{"schema": 1, "kind": "routes", "name": "digits"},
        **{"command": "python -m splinelib routes", "settings": {"dense": 64}, "seconds": 60.0},
        "entries": [
            {
                **{"seed": seed, "way": way, "width": width, "macs": 1.0 * width**2},
                **{"test": accuracy(way, width) + 0.01 * seed, "single": seconds(way, width)},
                "batch": seconds(way, width) / 100,
            }
            for seed in range(seeds)
            for way, width in kinds
        ],
        "provenance": PROVENANCE,
    }


def vit_record(accuracy=None, lost=None, seeds: int = 3, settled: int | None = 12) -> dict:
    """A record of pruned transformers, as `experiments.transformers` makes them.

    Parameters
    ----------
    accuracy : callable, optional
        ``accuracy(part, order, ratio, compensate)``; the seeds are a thousandth apart.
    lost : callable, optional
        ``lost(layer, head)``.
    seeds : int
    settled : int or None
        Epoch at which the codes of each settled.
    """
    accuracy, lost = accuracy or (lambda *_: 0.5), lost or (lambda *_: 0.3)

    def over(value: float) -> list[float]:
        return [value + 0.001 * seed for seed in range(seeds)]

    about = [
        (part, order, ratio, compensate)
        for part, (orders, ratios) in transformers.ORDERS.items()
        for order in orders
        for ratio in ratios
        for compensate in transformer_records.COMPENSATIONS
    ]
    keys = ("part", "order", "ratio", "compensate")
    return {
        **{"schema": 1, "kind": "vit", "name": "digits", "command": "python -m splinelib vit"},
        "settings": {"width": 0.25, "epochs": 20, "seeds": seeds},
        **{"dense": over(0.9), "settled": [settled] * seeds},
        "entries": [
            dict(zip(keys, key, strict=True)) | {"test": over(accuracy(*key))} for key in about
        ],
        "maps": [{"when": when, "gap": over(0.8)} for when in transformer_records.WHEN],
        "heads": [
            {"layer": layer, "head": head, "lost": over(lost(layer, head))}
            for layer in (1, 2, 3)
            for head in (1, 2, 3, 4)
        ],
        **{"seconds": 900.0, "provenance": PROVENANCE},
    }


def rivals_record(accuracy=None, seeds: int = 3, normed: bool = True, **settings) -> dict:
    """A record of rivals without training, as `experiments.rivals` makes them.

    Parameters
    ----------
    accuracy : callable, optional
        ``accuracy(way, renewed, ratio)``; the seeds are a hundredth apart.
    seeds : int
    normed : bool
        Whether the network has batch norms.
    **settings
        Of the record.
    """
    accuracy = accuracy or (lambda *_: 0.5)
    ways = [(way, False) for way in (*rival_records.THEIRS, *rival_records.OURS)]
    if normed:
        ways += [(way, True) for way in rival_records.RENEWED]
    else:
        ways.remove(("neuron merging as coded", False))
    kinds = [("dense", False, 0.0), *((*way, ratio) for ratio in (0.3, 0.5, 0.7) for way in ways)]
    known = {"data": "digits", "network": "vgg16", "width": 0.25, "epochs": 12}
    known |= {"calibration": 1000, "judged_on": "held-out training images"}
    return {
        **{"schema": 1, "kind": "rivals", "name": "digits-vgg16", "settings": known | settings},
        **{"command": "python -m splinelib rivals", "seconds": 60.0, "provenance": PROVENANCE},
        "entries": [
            {
                **{"seed": seed, "way": way, "renewed": renewed, "ratio": ratio},
                "accuracy": accuracy(way, renewed, ratio) + 0.01 * seed,
                **{"channels": round(100 * (1 - ratio)), "parameters": round(1000 * (1 - ratio))},
                "macs": round(10_000 * (1 - ratio)),
            }
            for seed in range(seeds)
            for way, renewed, ratio in kinds
        ],
    }


def orders_record(
    accuracy=None, seeds: int = 3, name: str = "digits-mlp", normed: bool = False, **settings
) -> dict:
    """A record of orders of removal by themselves, as `experiments.orders` makes them.

    Parameters
    ----------
    accuracy : callable, optional
        ``accuracy(criterion, scope, ratio)``; the seeds are a hundredth apart, and renewed
        statistics worth a tenth.
    seeds : int
    name : str
    normed : bool
        Whether the network has batch norms.
    **settings
        Of the record.
    """
    accuracy = accuracy or (lambda *_: 0.5)
    kinds = [("dense", "", 0.0, 0, False)]
    for criterion in order_records.CRITERIA:
        for draw in range(3 if criterion == "random" else 1):
            kinds += [
                (criterion, scope, ratio, draw, renewed)
                for scope in order_records.SCOPES
                for ratio in (0.3, 0.5, 0.7)
                for renewed in ((False, True) if normed else (False,))
            ]
    known = {"data": "digits", "network": "mlp", "width": 1.0, "epochs": 20}
    known |= {"calibration": 1000, "judged_on": "held-out training images"}
    return {
        **{"schema": 1, "kind": "orders", "name": name, "settings": known | settings},
        **{"command": "python -m splinelib orders", "seconds": 60.0, "provenance": PROVENANCE},
        "entries": [
            {
                **{"seed": seed, "criterion": criterion, "scope": scope, "ratio": ratio},
                **{"draw": draw, "renewed": renewed},
                "accuracy": accuracy(criterion, scope, ratio) + 0.01 * seed + 0.1 * renewed,
            }
            for seed in range(seeds)
            for criterion, scope, ratio, draw, renewed in kinds
        ],
    }


# Groups of a network: name, units, whether it is a stream.
GROUPS = (("first", 8, False), ("stream", 16, True), ("middle", 32, False), ("last", 64, False))


def shares_record(lost=None, kept=None, seeds: int = 1, name: str = "run", **settings) -> dict:
    """A record of groups of units that were cut alone, as `experiments.shares` makes them.

    Parameters
    ----------
    lost : callable, optional
        ``lost(group)`` when it is cut alone, in [0, 0.9]; a tenth more when it is cut by lot.
    kept : callable, optional
        ``kept(criterion, group)``: units that the group keeps.
    seeds : int
    name : str
    **settings
        Of the record.
    """
    units = {group: count for group, count, _ in GROUPS}
    lost = lost or (lambda group: 0.4 / units[group])
    kept = kept or (lambda criterion, group: units[group] // 2)
    known = {"data": "cifar10", "network": "vgg16", "width": 0.25, "epochs": 8}
    known |= {"calibration": 1000, "judged_on": "2,500 test images"}
    return {
        **{"schema": 1, "kind": "shares", "name": name, "settings": known | settings},
        **{"command": "python -m splinelib shares", "seconds": 60.0, "provenance": PROVENANCE},
        "entries": [
            {
                **{"seed": seed, "group": group, "units": count, "stream": stream, "dense": 0.9},
                "alone": 0.9 - lost(group),
                "by_lot": [0.9 * (0.9 - lost(group)) for _ in range(3)],
                "kept": {name: kept(name, group) for name in share_records.CRITERIA},
            }
            for seed in range(seeds)
            for group, count, stream in GROUPS
        ],
    }


def pitch_record(accuracy=None, size: str = "tiny", ratios=(0.1, 0.3, 0.5, 0.7), ways=None) -> dict:
    """A record of a pitch estimator that is pruned, as `experiments.pitch` makes them.

    Parameters
    ----------
    accuracy : callable, optional
        ``accuracy(way, ratio)``; draws by lot are a hundredth apart.
    size, ratios, ways
        As for `pitch.compare`.
    """
    accuracy = accuracy or (lambda *_: 0.5)
    kinds = [("dense", 0.0, 0)]
    for way in ways or pitch_records.WAYS:
        draws = 3 if way in pitch_records.BY_LOT else 1
        kinds += [(way, ratio, draw) for draw in range(draws) for ratio in ratios]
    settings = {"size": size, "calibration": 1024, "judged_on": 2048, "noise": 0.05}
    return {
        **{"schema": 1, "kind": "pitch", "name": size, "command": "python -m splinelib pitch"},
        **{"seconds": 60.0, "provenance": PROVENANCE},
        "settings": settings | {"cents": 50.0, "batch": 64},
        "entries": [
            {
                **{"way": way, "ratio": ratio, "seed": draw},
                "accuracy": accuracy(way, ratio) + 0.01 * draw,
                **{"channels": round(100 * (1 - ratio)), "parameters": round(1000 * (1 - ratio))},
                **{"macs": round(10_000 * (1 - ratio))},
                **{"latency": 0.02 * (1 - 0.5 * ratio), "dense_latency": 0.02},
            }
            for way, ratio, draw in kinds
        ],
    }
