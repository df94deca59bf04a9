"""Which records an exhibit looks at: those of a dataset, of one protocol, of some settings."""

from collections.abc import Sequence

from .. import experiments
from ..experiments.reports import Spread


def of_dataset(records: Sequence[dict], prefix: str) -> list[dict]:
    """The records whose dataset's name begins with `prefix`, in the order given.

    Examples
    --------
    >>> of_dataset([{"protocol": {"dataset": "cifar10"}}], "cifar")
    [{'protocol': {'dataset': 'cifar10'}}]
    """
    return [record for record in records if record["protocol"]["dataset"].startswith(prefix)]


def by_protocol(records: Sequence[dict]) -> list[list[dict]]:
    """Records that differ in nothing but their seed, together.

    Parameters
    ----------
    records : sequence of dict
        Of different names.

    Returns
    -------
    list of list of dict
        A list for each protocol, in order of first appearance; in it the records by seed.

    Raises
    ------
    ValueError
        Two records have the same name.
    """
    named = {record["name"]: record for record in records}
    if len(named) < len(records):
        raise ValueError("Two of these records have the same name, so one would hide the other.")
    return [[named[name] for name in group[0].names] for group in experiments.across_seeds(records)]


def with_tickets(records: Sequence[dict]) -> list[list[dict]]:
    """Protocols of which tickets are recorded, those that say most first.

    Returns
    -------
    list of list of dict
        As `by_protocol`: the protocol with the most seeds of its first ticket first, and of
        equally many that of the largest dense network, in multiply-accumulates.
    """
    pairs = [(spreads(runs), runs) for runs in by_protocol(records)]
    drawn = [(group, runs) for group, runs in pairs if group[1:]]
    drawn.sort(key=lambda both: (-len(both[0][1].seeds), -both[0][0].macs[0]))
    return [runs for _, runs in drawn]


def having(protocols: Sequence[Sequence[dict]], **settings) -> list[list[dict]]:
    """Those protocols that have these settings.

    Parameters
    ----------
    protocols : sequence of sequence of dict
        As `by_protocol` or `with_tickets` gives them.
    **settings
        Of `Protocol`, such as ``epochs=160``.

    Raises
    ------
    ValueError
        A protocol has no setting of this name.
    """
    for runs in protocols:
        unknown = [name for name in settings if name not in runs[0]["protocol"]]
        if unknown:
            raise ValueError(
                f"A protocol has no setting {', '.join(unknown)}. It has: "
                f"{', '.join(runs[0]['protocol'])}."
            )
    return [
        list(runs)
        for runs in protocols
        if all(runs[0]["protocol"][name] == value for name, value in settings.items())
    ]


def spreads(runs: Sequence[dict]) -> list[Spread]:
    """The networks of one protocol over its seeds, the dense one first; none without a record.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol, as `by_protocol` gives them.

    Raises
    ------
    ValueError
        The records are of several protocols.
    """
    groups = experiments.across_seeds(runs)
    if len(groups) > 1:
        names = ", ".join(group[0].names[0] for group in groups)
        raise ValueError(
            f"These records are of {len(groups)} protocols ({names}), and this exhibit is of one: "
            "take one of choosing.by_protocol(records)."
        )
    return groups[0] if groups else []


def ratios(group: Sequence[Spread]) -> list[float]:
    """Shares of units that the tickets of a group have lost, each once, the mildest first."""
    return sorted({spread.ratio for spread in group if spread.ticket is not None})


def methods(group: Sequence[Spread]) -> list[str]:
    """Methods of the tickets of a group, each once, in its order."""
    return list(dict.fromkeys(s.method for s in group if s.ticket is not None))
