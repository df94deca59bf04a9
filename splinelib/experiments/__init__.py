"""The paper's protocol, run once and recorded for good.

A `protocol` says what decides a run, `setting` what that comes to. The `runner` trains a dense
network while a `watch` looks at its region codes, draws tickets, trains them, and writes a record
(`run_records` in the `store`, with its `origin`); `resuming` sees to it that an interrupted run
goes on as one. `oneshot` prunes without training, `earnings` says who earned what, `grids` say
which runs there are, `sweeps` and their `workers` make them, and `reports` put records side by
side; figures that `papers` printed stand beside them. `starts` reaches small networks in several
ways (`start_ways`; of images `start_images`), which `start_records` keep. `truncations` prune
networks whose units were compared after a PCA (`truncated_orders`), for `truncation_records`.
`routes` cuts small networks for clusters of inputs, which `route_records` keep. `rivals` prunes
without training as others do and as we do, for `rival_records` (`subjects` are what they prune),
`orders` compensates nothing, for `order_records`, `shares` cuts each group of units alone, for
`share_records`, and `pitch` prunes a network that others trained, for `pitch_records`. `studies`
are these as the command line knows them, `study_records` what their records share. This package
uses everything but `plotting` and `exhibits`: it runs where nothing can be drawn.
"""

from ..files import checkout
from .origin import provenance
from .papers import published, published_tables
from .protocol import COMPENSATIONS, RULES, SCOPES, Protocol, Ticket, command
from .reports import Spread, across_seeds, compare, paired, summary
from .run_records import SCHEMA, check_record, read_record, record_files, records
from .runner import run, run_tickets
from .setting import build, device, prepare, sample
from .store import RunLocked

__all__ = [
    "COMPENSATIONS",
    "RULES",
    "SCHEMA",
    "SCOPES",
    "Protocol",
    "RunLocked",
    "Spread",
    "Ticket",
    "across_seeds",
    "build",
    "check_record",
    "checkout",
    "command",
    "compare",
    "device",
    "paired",
    "prepare",
    "provenance",
    "published",
    "published_tables",
    "read_record",
    "record_files",
    "records",
    "run",
    "run_tickets",
    "sample",
    "summary",
]
