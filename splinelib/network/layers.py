"""The layers whose units cut the input space, and the hyperplanes of those units."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .affine_parts import affine_parts, maker_name, unit_axis
from .frozen import check_smooth
from .graph import Graph, Node, Value
from .modes import check_weights
from .surroundings import undisturbed
from .trace import record


@dataclass(frozen=True)
class SplineLayer:
    """Units whose pre-activation sign shapes the partition.

    Attributes
    ----------
    name : str
        The module that makes the pre-activation: the convolution or linear layer, with or
        without a batch norm behind it; else the batch norm; for pooling, the pooling module.
        A second layer of the same name gets ``#2``.
    units : int
        Channels of a convolution, features of a linear layer.
    unit_shape : tuple of int
        Shape of one input's code. A convolution has a bit for each position,
        ``(C, H, W)``; hardtanh and ReLU6 have two thresholds, ``(2, C, H, W)``; max-pooling
        stores the winner's index in the bits that it needs, ``(bits, C, H, W)``.
    kind : str
        ``"relu"``, ``"leaky_relu"``, ``"hardtanh"``, ``"abs"``, ``"max_pool"``, ...
    """

    name: str
    units: int
    unit_shape: tuple[int, ...]
    kind: str
    node: Node = field(repr=False)
    _graph: Graph = field(repr=False)

    def hyperplanes(self) -> tuple[Tensor, Tensor]:
        """The hyperplane {x : <normal, x> + offset = 0} of each unit.

        Batch norm is folded in with its evaluation statistics: the normal is
        ``w * gamma / sigma`` and the offset ``(b - mu) * gamma / sigma + beta``, so the sign
        of gamma is kept. Where the pre-activation is a sum (a residual add), the terms'
        weights stand side by side: the hyperplane lives in the space of all their inputs,
        and a term that no linear layer made enters as the identity, or as a column of ones if it
        is one number for all units.

        Returns
        -------
        normals : Tensor, shape (U, fan_in)
            A convolution's kernel is flattened, a grouped one padded with zeros to the
            full fan-in so that normals of different groups can be compared.
        offsets : Tensor, shape (U,)
            For an activation that bends at t instead of 0, t is subtracted.

        Raises
        ------
        ValueError
            For pooling and maxima of two values, which compare inputs with each other.
        """
        if self.kind in {"max_pool", "maximum", "minimum"}:
            raise ValueError(
                f"layer {self.name!r} is a {self.kind}: it compares its inputs with each other "
                "and has no hyperplane of its own"
            )
        with torch.no_grad():
            start = self.node.activation_inputs[0].index
            parts, offset = affine_parts(self._graph, start, self.units)
            return torch.cat(parts, dim=1), offset - self.node.activation.breakpoints[0]


def layers_of(graph: Graph) -> list[SplineLayer]:
    """The spline layers of a recorded run, in order of execution."""
    layers, seen = [], {}
    for node in graph.activations():
        activation = node.activation
        operands = [a.index for a in node.activation_inputs if isinstance(a, Value)]
        pooled = activation.pool is not None
        shape = graph.shapes[node.outputs[0] if pooled else operands[0]][1:]
        if node.activation.kind in {"maximum", "minimum"}:
            shape = graph.shapes[node.outputs[0]][1:]
        axis = -len(shape) if pooled else unit_axis(graph, operands[0])
        units = shape[axis] if shape else 1
        name = node.module or node.name if pooled else maker_name(graph, operands[0])
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name = f"{name}#{seen[name]}"
        many = pooled or activation.bits > 1
        code_shape = (activation.bits, *shape) if many else shape
        layers.append(SplineLayer(name, units, tuple(code_shape), activation.kind, node, graph))
    return layers


@undisturbed("model")
def spline_layers(model: nn.Module, example: Tensor, smooth: str = "raise") -> list[SplineLayer]:
    """Find the layers whose units cut the input space, in order of execution.

    Modules and functions alike are found (``nn.ReLU``, ``F.relu``, ``x.clamp(min=0)``), and what
    is written by hand (``h * (h > 0)``, ``torch.where(h > 0, h, 0.1 * h)``), a module that is
    used twice twice. The model is run once, in evaluation mode, on the first
    row of ``example``, and comes back in the mode it was in.

    Parameters
    ----------
    model : torch.nn.Module
    example : Tensor, shape (N, ...)
        Inputs of the shape, dtype and device that the model takes.
    smooth : {"raise", "freeze", "sign", "ignore"}
        What to do with operations that are not piecewise affine (GELU, softmax, a product
        of two activations). ``"raise"``: refuse them. ``"freeze"``: leave out attention, layer
        norm, GELU and SiLU, with whose factors held at an input the network is piecewise affine
        (as in `affine_map`), and refuse the rest. ``"sign"``: read smooth activations as a cut
        where their input changes sign, and leave out the rest with a warning. ``"ignore"``: leave
        them out.

    Returns
    -------
    list of SplineLayer

    Raises
    ------
    NotPiecewiseAffine
        If an operation is not piecewise affine, or numbers that depend on the input leave torch,
        and ``smooth`` does not say how to treat it; it names the module.
    TypeError
        For a model whose operations cannot be seen (TorchScript, torch.export).
    ValueError
        For NaN or infinite weights, an empty example, or one that the model does not take.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> [(layer.name, layer.units) for layer in sl.spline_layers(net, torch.zeros(1, 2))]
    [('0', 8)]
    """
    check_weights(model)
    graph = record(model, example, smooth)
    check_smooth(graph, smooth)
    return layers_of(graph)
