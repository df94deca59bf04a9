"""Which channels must go together: units, groups of them, and how a network is made of them."""

from dataclasses import dataclass, field

from torch import Tensor, nn

from ..network.inputs import Inputs


@dataclass(frozen=True)
class Member:
    """One side of one module that belongs to a group.

    Attributes
    ----------
    module : str
        Name of the module.
    role : str
        ``"out"``: rows of a convolution or linear layer (where whole blocks of a grouped
        convolution go, their inputs go with them); ``"in"``: columns of the layer that reads the
        units (of a grouped convolution each reads one channel of every block); ``"channel"``: the
        channels of a normalisation or PReLU; ``"scale:0"``: axis 0 of the module's parameter or
        buffer ``scale``, and so on for any other; ``"=num_heads"``: a number of the module that
        counts the units.
    indices : Tensor, shape (U, m), int64
        Row u: the channels of this module that unit u owns.
    judged : bool
        Whether scores and fits look at it. What a transposed convolution reads, heads that run in
        training only and layers that are not called (only their weight is used) are cut along
        without.
    """

    module: str
    role: str
    indices: Tensor = field(repr=False)
    judged: bool = True


@dataclass(frozen=True)
class Group:
    """Units that are removed one by one, each with all that is tied to it.

    Attributes
    ----------
    name : str
        The first layer, in order of execution, that makes the units.
    units : int
    members : tuple of Member
        In order of execution.
    heads : bool
        Whether the units are heads of attention. A head owns the rows of its queries, keys and
        values, and draws no line: no activation bends what one of the rows says.
    """

    name: str
    units: int
    members: tuple[Member, ...] = field(repr=False)
    heads: bool = False

    @property
    def producers(self) -> tuple[Member, ...]:
        """The layers whose rows are the units, as far as scores look at them."""
        return tuple(m for m in self.members if m.role == "out" and m.judged)

    @property
    def consumers(self) -> tuple[Member, ...]:
        """The layers that read the units, as far as scores look at them."""
        return tuple(m for m in self.members if m.role == "in" and m.judged)

    @property
    def is_stream(self) -> bool:
        """Whether several layers make the units, and several read them: a residual stream."""
        return len(self.producers) > 1 and len(self.consumers) > 1


@dataclass(frozen=True)
class Layout:
    """The prunable groups of a network, without the network.

    Attributes
    ----------
    groups : dict of str to Group
        In order of execution.
    order : tuple of str
        All convolutions and linear layers, in order of execution.
    batch_norms : dict of str to str
        Layer name -> the batch norm that alone reads its output.
    fixed : dict of str to str
        Layers that are never pruned, and other modules with weights that no group cuts, with the
        reason. A layer of which only some rows must stay is here and in a group.
    sizes : dict of str to tuple of int
        Shape of each layer's weight, to recognise the model.
    example : Tensor, Inputs or None
        One input of the model, all zeros, by which it can be run again.
    """

    groups: dict[str, Group]
    order: tuple[str, ...]
    batch_norms: dict[str, str]
    fixed: dict[str, str]
    sizes: dict[str, tuple[int, ...]]
    example: Tensor | Inputs | None = field(default=None, repr=False, compare=False)

    @property
    def units(self) -> int:
        """Number of prunable units, each coupled set of channels counted once."""
        return sum(group.units for group in self.groups.values())

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError if the model is not the one that the layout was made from."""
        modules = dict(model.named_modules())
        for name, shape in self.sizes.items():
            weight = getattr(modules.get(name), "weight", None)
            here = None if weight is None else tuple(weight.shape)
            if here != shape:
                raise ValueError(
                    f"these scores or masks belong to another model: layer {name!r} should have "
                    f"a weight of shape {shape}, here it is {here or 'missing'}; "
                    "score the model that you want to prune"
                )
