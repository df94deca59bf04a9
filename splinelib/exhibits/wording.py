"""How methods, protocols and values are written in tables and in words."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import numpy as np

from .. import plotting
from ..plotting import Cell, Table

# What Markdown could take for markup. A backslash before ASCII punctuation is always read as text.
_ACTIVE = re.compile(r"([\\`*_{}\[\]<>()#|~$&!^])")

_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"

# Networks and datasets as papers write them.
_PROPER = {
    "mlp": "perceptron",
    "vgg16": "VGG-16",
    "preresnet101": "PreResNet-101",
    "preresnet20": "PreResNet-20",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "vit": "ViT",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
}

NOTHING = "nothing has been recorded yet"

# Method -> (name in tables, name in figures, where it decides on the colour).
_NAMES = {
    "spline@residual+refit": ("refitted", "spline + compensation"),
    "lottery:magnitude": ("lottery", "lottery (magnitude)"),
    "lottery:spline": ("lottery: spline", "lottery (spline)"),
}


def in_tables(method: str, ratio: float | None = None) -> str:
    """What a method is called in tables, with the share of units removed behind it.

    Parameters
    ----------
    method : str
        As in `Spread.method`.
    ratio : float, optional
        In [0, 1). Left out of the dense network, which has lost nothing.

    Examples
    --------
    >>> in_tables("spline@residual+refit", 0.5), in_tables("masks:bn"), in_tables("dense", 0.0)
    ('refitted 50%', 'masks: bn', 'dense')
    """
    # Spaces, where a narrow table may break the line.
    spaced = method.replace("@layerwise", " even share").replace(":", ": ")
    name = _NAMES.get(method, (spaced,))[0]
    return name if ratio is None or method == "dense" else f"{name} {ratio:.0%}"


def in_figures(method: str) -> str:
    """What a method is called in figures, where its name decides on its colour.

    Examples
    --------
    >>> in_figures("lottery:spline"), in_figures("spline")
    ('lottery (spline)', 'spline')
    """
    return _NAMES.get(method, (method,))[-1]


def proper(name: str) -> str:
    """A network or a dataset as papers write it; others as they are.

    Examples
    --------
    >>> proper("vgg16"), proper("digits")
    ('VGG-16', 'digits')
    """
    return _PROPER.get(name, name)


def points(values: Sequence[float]) -> str:
    """Points above something, mean and range over seeds, with their sign; none is +0.0.

    Examples
    --------
    >>> points([-0.02]), points([1.0, 2.0])
    ('+0.0', '+1.5 (+1.0 to +2.0)')
    """
    return _without_minus_zero(plotting.over_seeds(values, "{:+.1f}"))


def _without_minus_zero(text: str) -> str:
    return re.sub(r"-(0\.0+)(?!\d)", r"+\1", text)


def title(runs: Sequence[dict]) -> str:
    """Network, width, dataset, epochs and seeds of one protocol.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol; ``"no record"`` if there is none.
    """
    if not runs:
        return "no record"
    settings = runs[0]["protocol"]
    seeds = [record["protocol"]["seed"] for record in runs]
    return (
        f"{settings['network']} at width {settings['width']:g} on {settings['dataset']}, "
        f"{settings['epochs']} epochs, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    )


def anchor(name: str, kind: str = "record") -> str:
    """Id of a record on the page Reproduce, not yet escaped.

    Parameters
    ----------
    name : str
        Of the record.
    kind : {"record", "oneshot"}
        A training run, or one-shot curves of its dense network.
    """
    return f"{kind}-{name}"


def link(name: str, kind: str = "record") -> str:
    """Address of a record on the page Reproduce, seen from a chapter; as for `anchor`.

    Examples
    --------
    >>> link("digits-vgg16-w1-e8-s0")
    '../reproduce.html#record-digits-vgg16-w1-e8-s0'
    """
    return f"../reproduce.html#{quote(anchor(name, kind))}"


def origins(names: Sequence[str], kind: str = "record") -> tuple[tuple[str, str], ...]:
    """Names of records with their addresses, as `plotting.Cell` takes them; kinds as in `anchor`.

    Examples
    --------
    >>> origins(["a"])
    (('a', '../reproduce.html#record-a'),)
    """
    return tuple((name, link(name, kind)) for name in names)


def of_seeds(
    values: Sequence[float], names: Sequence[str], pattern: str = "{:.1f}", note: str | None = None
) -> Cell:
    """Mean and range over seeds, and the records that they come from.

    Parameters
    ----------
    values : sequence of float
        One for each seed; of none the cell says that it was not recorded.
    names : sequence of str
        Of the records that they come from, at least one if there are values.
    pattern : str
        Format of a number. With a sign in it, the range is written with "to".
    note : str, optional
        Stands behind the values.

    Examples
    --------
    >>> of_seeds([1.0, 2.0], ["a", "b"]).value, of_seeds([-1.0, 2.0], ["a"], "{:+.1f}").value
    ('1.5 (1.0–2.0)', '+0.5 (-1.0 to +2.0)')
    """
    if not values:
        return Cell(None)
    text = _without_minus_zero(plotting.over_seeds(values, pattern))
    if "+" not in pattern:  # between signs a dash would be read as one
        text = text.replace(" to ", "–")
    return Cell(text, "record", None, note, origins(names))


def table(
    rows: Sequence[Sequence],
    columns: Sequence[str],
    caption: str,
    format: str | Sequence[str] = "{}",
) -> Table:
    """As `plotting.table`; without a row it says that nothing has been recorded."""
    empty = [[NOTHING, *[""] * (len(columns) - 1)]]
    return plotting.table(rows or empty, columns, caption, format)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> listed(["10", "30", "50"]), listed(["one"])
    ('10, 30 and 50', 'one')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def first_to_last(series: Mapping[str, Sequence], pattern: str = "{:.2f}") -> str:
    """Where each curve starts and where it ends, as an alt text says it.

    Parameters
    ----------
    series : mapping of name to array_like, shape (T,) or (seeds, T)
        As `plotting.curves` takes them; of several seeds the mean is told.
    pattern : str
        Format of one number.

    Examples
    --------
    >>> first_to_last({"codes": [0.5, 0.2, 0.1], "masks": [[0.3, 0.1], [0.1, 0.1]]}, "{:.1f}")
    'codes from 0.5 to 0.1, masks from 0.2 to 0.1'
    """
    means = {
        name: np.atleast_2d(np.asarray(curve, float)).mean(0) for name, curve in series.items()
    }
    return ", ".join(
        f"{name} from {pattern.format(curve[0])} to {pattern.format(curve[-1])}"
        for name, curve in means.items()
    )


def number(count: int) -> str:
    """A small number as a word, others in digits.

    Examples
    --------
    >>> number(3), number(40)
    ('three', '40')
    """
    words = _NUMBERS.split()
    return words[count] if 0 <= count < len(words) else f"{count}"


def as_text(text: str) -> str:
    """Text that Markdown shows as it stands, on one line, whatever is in it.

    Examples
    --------
    >>> print(as_text("Intel(R) *fast* <b>"))
    Intel\\(R\\) \\*fast\\* \\<b\\>
    """
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))
