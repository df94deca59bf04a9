"""Records and measurements as the tables and figures that the chapters show.

A chapter chooses records and calls an exhibit; what is counted, and how it is drawn and told, is
here, where tests can reach it. Functions take records, as `experiments.records` gives them, or
what `experiments.across_seeds` makes of them, and return a table, a figure or plain numbers. What
was not recorded is said to be missing, in the table or as a ValueError, and never made up. This
package is on top of the library: it may use everything, and no other package imports it.

Which records: `choosing`; how they are written: `wording`. Early birds: `pace`, `settling`,
`draws`, `moments`, `watching`. Pruning without training: `one_shot`, `cuts`, `units`, `savings`, by
other people `others`, which layers give `shares`. Tickets: `bargains`, `tickets`, `costs`,
`rivals`, `streams`, `claims`, `printed`. Ways to a small network: `starts`, `start_lines`, of a
maximum of lines `fits`. After a PCA: `pca`. One of several networks for each input: `routes`. Of
transformers: `attention`, `transformers`. Slices: `slices`, `galleries`. Networks of others:
`networks`. The front page: `verdicts`. How they were made: `runs`, `sheets`.
"""

from . import (
    attention,
    bargains,
    choosing,
    claims,
    costs,
    cuts,
    draws,
    fits,
    galleries,
    moments,
    networks,
    one_shot,
    others,
    pace,
    pca,
    pca_claims,
    printed,
    rivals,
    routes,
    runs,
    savings,
    settling,
    sheets,
    slices,
    start_claims,
    start_lines,
    starts,
    streams,
    tickets,
    transformers,
    units,
    verdicts,
    watching,
    wording,
)

__all__ = [
    "attention",
    "bargains",
    "choosing",
    "claims",
    "costs",
    "cuts",
    "draws",
    "fits",
    "galleries",
    "moments",
    "networks",
    "one_shot",
    "others",
    "pace",
    "pca",
    "pca_claims",
    "printed",
    "rivals",
    "routes",
    "runs",
    "savings",
    "settling",
    "sheets",
    "slices",
    "start_claims",
    "start_lines",
    "starts",
    "streams",
    "tickets",
    "transformers",
    "units",
    "verdicts",
    "watching",
    "wording",
]
