"""Reproduce: for each record the command, the time, the machine and the file itself.

What a record says of itself is text of whoever sent it. All of it is escaped before it is a page.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from .. import experiments
from ..experiments import (
    order_records,
    pitch_records,
    published_tables,
    rival_records,
    route_records,
    share_records,
    slice_records,
    start_records,
    transformer_records,
    truncation_records,
)
from ..plotting import Table
from ..plotting.svg import STYLE
from . import wording


@dataclass(frozen=True)
class Sheet:
    """One record as a block of a page; see `of_run` and the others."""

    markup: str
    name: str

    def __repr__(self) -> str:
        return f"Sheet({self.name!r})"

    def _repr_html_(self) -> str:
        return self.markup


def of_run(record: dict) -> Sheet:
    """The sheet of a training run, which links of other pages lead to.

    Parameters
    ----------
    record : dict
        As `experiments.records` gives them.
    """
    entries = [record["dense"], *record["tickets"]]
    epochs = sum(len(entry["history"]) for entry in entries)
    seconds = sum(entry["seconds"] for entry in entries)
    facts = {
        "trained": f"dense and {_many(len(record['tickets']), 'ticket')}, {_minutes(seconds)} for "
        f"{epochs} epochs",
        "accuracy": f"dense {record['dense']['test_accuracy']:.2%}",
    }
    origins = [entry["provenance"] for entry in entries]
    return _sheet(record, "record", facts, origins)


def of_one_shot(record: dict) -> Sheet:
    """The sheet of one-shot curves.

    Parameters
    ----------
    record : dict
        As `oneshot.records` gives them.
    """
    seconds = sum(entry["seconds"] for entry in record["entries"])
    facts = {
        "pruned": f"{len(record['entries'])} networks in {_minutes(seconds)}",
        "accuracy": f"dense {record['dense_accuracy']:.2%}",
    }
    return _sheet(record, "oneshot", facts, [record["provenance"]])


def of_starts(record: dict) -> Sheet:
    """The sheet of ways to a small network.

    Parameters
    ----------
    record : dict
        As `start_records.records` gives them.
    """
    count = sum(len(entry["test"]) * entry["restarts"] for entry in record["entries"])
    facts = {"trained": f"{count:,} small networks in {_minutes(record['seconds'])}"}
    return _sheet(record, "starts", facts, [record["provenance"]])


def of_pca(record: dict) -> Sheet:
    """The sheet of prunings after a PCA.

    Parameters
    ----------
    record : dict
        As `truncation_records.records` gives them.
    """
    networks, ways = len(record["dense"]), len(record["orders"]) + len(record["rivals"])
    facts = {"pruned": f"{networks} networks in {ways} ways each, {_minutes(record['seconds'])}"}
    return _sheet(record, "pca", facts, [record["provenance"]])


def of_routes(record: dict) -> Sheet:
    """The sheet of routed small networks.

    Parameters
    ----------
    record : dict
        As `route_records.records` gives them.
    """
    seeds = len({entry["seed"] for entry in record["entries"]})
    facts = {
        "compared": f"{len(record['entries'])} networks of {seeds} seeds in "
        f"{_minutes(record['seconds'])}"
    }
    return _sheet(record, "routes", facts, [record["provenance"]])


def of_vit(record: dict) -> Sheet:
    """The sheet of pruned transformers.

    Parameters
    ----------
    record : dict
        As `transformer_records.records` gives them.
    """
    networks, ways = len(record["dense"]), len(record["entries"])
    facts = {
        "pruned": f"{networks} transformers in {ways} ways each, {_minutes(record['seconds'])}"
    }
    return _sheet(record, "vit", facts, [record["provenance"]])


def of_slices(record: dict) -> Sheet:
    """The sheet of local complexity over training.

    Parameters
    ----------
    record : dict
        As `slice_records.records` gives them.
    """
    facts = {
        "counted": f"{len(record['entries'])} times around {record['settings']['points']} points, "
        f"{len(record['birds'])} seeds in {_minutes(record['seconds'])}"
    }
    return _sheet(record, "slices", facts, [record["provenance"]])


def of_rivals(record: dict) -> Sheet:
    """The sheet of rivals without training.

    Parameters
    ----------
    record : dict
        As `rival_records.records` gives them.
    """
    networks = len({entry["seed"] for entry in record["entries"]})
    facts = {
        "compared": f"{len(record['entries']) - networks} pruned networks of {networks} dense "
        f"in {_minutes(record['seconds'])}"
    }
    return _sheet(record, "rivals", facts, [record["provenance"]])


def of_orders(record: dict) -> Sheet:
    """The sheet of orders of removal by themselves.

    Parameters
    ----------
    record : dict
        As `order_records.records` gives them.
    """
    networks = len({entry["seed"] for entry in record["entries"]})
    facts = {
        "compared": f"{len(record['entries']) - networks} pruned networks of {networks} dense "
        f"in {_minutes(record['seconds'])}"
    }
    return _sheet(record, "orders", facts, [record["provenance"]])


def of_shares(record: dict) -> Sheet:
    """The sheet of groups of units that were cut alone.

    Parameters
    ----------
    record : dict
        As `share_records.records` gives them.
    """
    networks = len({entry["seed"] for entry in record["entries"]})
    facts = {
        "compared": f"{len(record['entries'])} groups of units of {networks} dense networks, each "
        f"cut alone, in {_minutes(record['seconds'])}"
    }
    return _sheet(record, "shares", facts, [record["provenance"]])


def of_pitch(record: dict) -> Sheet:
    """The sheet of a pitch estimator that was pruned.

    Parameters
    ----------
    record : dict
        As `pitch_records.records` gives them.
    """
    facts = {
        "pruned": f"CREPE {record['settings']['size']} in {len(record['entries']) - 1} networks, "
        f"{_minutes(record['seconds'])}"
    }
    return _sheet(record, "pitch", facts, [record["provenance"]])


# Study -> the module that reads its records, and what makes a sheet of one.
_STUDIES = {
    "starts": (start_records, of_starts),
    "pca": (truncation_records, of_pca),
    "routes": (route_records, of_routes),
    "vit": (transformer_records, of_vit),
    "slices": (slice_records, of_slices),
    "rivals": (rival_records, of_rivals),
    "orders": (order_records, of_orders),
    "shares": (share_records, of_shares),
    "pitch": (pitch_records, of_pitch),
}


def studied(kind: str) -> list:
    """The sheets of all records of one study; where there are none, a line that says so.

    Parameters
    ----------
    kind : str
        As the command line names the study.
    """
    records, sheet_of = _STUDIES[kind]
    return [sheet_of(record) for record in records.records()] or [nothing()]


def _sheet(record: dict, kind: str, facts: Mapping[str, str], origins: Sequence[dict]) -> Sheet:
    anchor = wording.anchor(record["name"], kind)
    facts = {**facts, **origin(origins)}
    listed = "".join(
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(text)}</dd>" for key, text in facts.items()
    )
    name = record["name"]
    return Sheet(
        f'<div class="record" id="{html.escape(anchor, quote=True)}">'
        f"<p><strong>{html.escape(name)}</strong> ({download(record, kind)})</p>"
        f"<pre>{html.escape(record['command'])}</pre><dl>{listed}</dl></div>",
        name,
    )


def _minutes(seconds: float) -> str:
    return _many(round(seconds / 60), "minute") if seconds >= 60 else "less than a minute"


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def _origins(record: dict) -> list[dict]:
    """The provenance of each network of a training run, or of a study as a whole."""
    networks = [record] if "provenance" in record else [record["dense"], *record["tickets"]]
    return [network["provenance"] for network in networks]


def made_on(records: Iterable[dict]) -> Sheet:
    """The line of `machines` for a page, under the first thing that it reads from the records."""
    text = html.escape(machines(records))
    return Sheet(
        f'<div class="sl"><style>{STYLE}</style><p class="sl-sources">{text}</p></div>', text
    )


def machines(records: Iterable[dict]) -> str:
    """On what machines, and with what PyTorch, records were made.

    Parameters
    ----------
    records : iterable of dict
        Of any kind, at least one.

    Raises
    ------
    ValueError
        There is no record.
    """
    origins = [origin for record in records for origin in _origins(record)]
    if not origins:
        raise ValueError("There is no record, so no machine can be named.")
    found = dict.fromkeys(
        machine(one["hardware"]) + ("" if one["hardware"]["gpu"] else ", no GPU") for one in origins
    )
    # Which build of a version it was stands on the page Reproduce.
    pytorch = dict.fromkeys(one["versions"]["torch"].partition("+")[0] for one in origins)
    return f"Recorded on {'; '.join(found)}; PyTorch {wording.listed(list(pytorch))}."


def download(record: dict, kind: str = "record") -> str:
    """A link to the record's file, beside these pages and in a checkout alike.

    Parameters
    ----------
    record : dict
    kind : {"record", "oneshot", "starts", "pca", "routes", "vit", "slices", "rivals",
        "orders", "shares", "pitch"}
        As for `wording.anchor`.
    """
    name = f"{record['name']}.json"
    folder = "../data/runs/" if kind == "record" else f"../data/runs/{kind}/"
    shown = html.escape(name, quote=True)
    return f'<a download="{shown}" href="{folder}{quote(name)}">{shown}</a>'


def origin(origins: Sequence[dict]) -> dict[str, str]:
    """Machines, versions and commits of a record's networks, each once, and when it was finished.

    Parameters
    ----------
    origins : sequence of dict
        The ``provenance`` of each network, in the order in which they were made, at least one.

    Returns
    -------
    dict of str to str
        Plain text, not yet escaped.
    """
    versions = [
        ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        for one in origins
    ]
    return {
        "machine": _each_once(machine(one["hardware"]) for one in origins),
        "versions": _each_once(versions),
        "commit": _each_once((one["commit"] or "unknown")[:12] for one in origins),
        "finished": origins[-1]["finished"][:10],
    }


def machine(hardware: dict) -> str:
    """What a network was trained on: the GPU or the processor, and how many at once.

    Examples
    --------
    >>> machine({"gpu": None, "processor": "a processor", "threads": 2, "cores": 4})
    'a processor, 2 of 4 cores'
    >>> machine({"gpu": "a GPU", "processes": 8})
    '8 processes, each on a GPU'
    """
    name = hardware["gpu"] or (
        f"{hardware['processor']}, {hardware['threads']} of {hardware['cores']} cores"
    )
    processes = hardware.get("processes", 1)
    return name if processes == 1 else f"{processes} processes, each on {name}"


def _each_once(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def nothing() -> Sheet:
    """What stands in the place of sheets where nothing was recorded."""
    return Sheet(f"<p>{wording.NOTHING.capitalize()}.</p>", "nothing")


def other_tables() -> Table:
    """The tables of ``data/published``: file, rows, and where each comes from."""
    rows = []
    for name in published_tables():
        table = experiments.published(name)
        sources = dict.fromkeys(str(row["source"]) for row in table)
        rows.append([f"{name}.csv", len(table), "; ".join(sources)])
    return wording.table(rows, ["file", "rows", "source"], "Tables in data/published")
