"""Which channels of a network go together, and what takes them out.

A residual add, a batch norm or a grouped convolution ties channels to each other: `groups` finds
the ties, `layout` says them without the network. On the way there every channel is followed through
a run (`following`), operation by operation: `operations` names the rule of each, `rules` and
`layer_rules` are what there is, in the terms of `calls` and `fields`. What is tied becomes groups
(`units`), which are tried out (`trial`), or of which one smaller network is (`agreement`); of a
network that ranks numbers, such as a detector, all that are compared make the same `choices`.
`attention` and `windows` open what torch and torchvision compute in one step. `surgery` copies a
network and silences units in it, `cuts` takes them out, `norms` lets layer and group norms leave
them out, `axes` says where they lie in a module's tensors, `saving` keeps and reads what is left.
This package uses `network`.
"""

from .groups import find_groups
from .layout import Group, Layout, Member
from .saving import load_pruned, rewind, save_pruned

__all__ = ["Group", "Layout", "Member", "find_groups", "load_pruned", "rewind", "save_pruned"]
