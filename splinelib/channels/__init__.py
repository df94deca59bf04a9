"""Which channels of a network go together, and what takes them out.

A residual add, a batch norm or a grouped convolution ties channels to each other: `groups` finds
the ties, `layout` says them without the network. `surgery` takes units out of a copy or silences
them, `saving` keeps and reads what is left. This package uses `network`.
"""

from .groups import find_groups
from .layout import Group, Layout, Member
from .saving import load_pruned, rewind, save_pruned

__all__ = ["Group", "Layout", "Member", "find_groups", "load_pruned", "rewind", "save_pruned"]
