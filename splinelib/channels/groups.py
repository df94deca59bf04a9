"""Find out which channels must go together.

A residual add ties the channels of two layers, a batch norm those of the convolution
before it, a grouped convolution whole blocks of channels. torch-pruning's dependency
graph finds these ties; here they become plain index tensors, so that scoring, masking,
compensation and shrinking need no further tracing and work on any copy of the model.

    layout = find_groups(model, example)
    layout.groups["features.0"].members     # which rows and columns belong to which unit
"""

import copy
import warnings
from dataclasses import replace

import numpy as np
import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrize

from ..errors import PruningError
from ..network.modes import check_inputs, check_weights, evaluating
from .layout import Group, Layout, Member
from .surgery import disagreement, removed, silenced


def find_groups(model: nn.Module, example: Tensor) -> Layout:
    """Find the groups of channels of a model that have to be removed together.

    The ties come from torch-pruning's dependency graph (Fang et al., DepGraph, CVPR 2023).
    Two things are added to it. Channels of one block of a grouped convolution form one
    unit, so that any set of units can go and a ratio can be honoured to the unit. And the
    result is tried out: one unit of each group is removed from a copy and the copy is run;
    what does not work, or gives other outputs than masking, is left alone and listed in
    ``Layout.fixed``.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is, mode and all.
    example : Tensor, shape (N, ...)
        Inputs of the kind that the model takes; two rows are used.

    Returns
    -------
    Layout

    Raises
    ------
    PruningError
        If a layer is run twice or two layers share a weight, if a weight is computed
        (parametrised), if a module is quantised or compiled by TorchScript, or if nothing can
        be pruned.
    ValueError
        For NaN or infinite weights, or an example that the model does not take.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> layout = find_groups(net, torch.zeros(1, 2))
    >>> [(group.name, group.units) for group in layout.groups.values()]
    [('0', 8)]
    """
    example = check_inputs(model, example, "example")[:2]
    check_weights(model)
    _check_prunable(model)
    order = _execution_order(model, example)
    try:
        graph, scratch = _dependency_graph(model, example)
        modules = dict(scratch.named_modules())
        groups, fixed = _Ties(graph, modules, order).groups()
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError) as error:
        raise PruningError(
            "torch-pruning's dependency graph cannot follow this network "
            f"({type(error).__name__}: {error}); networks that split and shuffle channels "
            "are known not to work"
        ) from error
    layout = Layout(
        groups=groups,
        order=tuple(order),
        batch_norms=_batch_norms(graph, modules, order),
        fixed=fixed,
        sizes={name: tuple(modules[name].weight.shape) for name in order},
        example=torch.zeros_like(example[:1], device="cpu"),
    )
    layout = _tried_out(scratch, layout, example)
    if not layout.groups:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(layout.fixed.items())[:5])
        raise PruningError(f"no layer of this network can be pruned ({reasons or 'no layers'})")
    return layout


def _check_prunable(model: nn.Module) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise PruningError(
            "this is a TorchScript module, whose layers cannot be changed; prune the "
            "torch.nn.Module that it was compiled from, then compile that"
        )
    for name, module in model.named_modules():
        if "quantized" in type(module).__module__ or "quantization" in type(module).__module__:
            raise PruningError(
                f"{name or 'the model'!r} is quantised ({type(module).__name__}); prune the "
                "floating-point network first and quantise what is left"
            )
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            first = owners.setdefault(id(parameter), f"{name}.{key}")
            if first != f"{name}.{key}":
                raise PruningError(
                    f"{first} and {name}.{key} are one and the same tensor; networks that share "
                    "weights cannot be pruned: removing channels for one use would break the other"
                )
        if isinstance(module, (_ConvNd, nn.Linear)) and (
            parametrize.is_parametrized(module) or "weight" not in module._parameters
        ):
            raise PruningError(
                f"the weight of {name!r} is computed by a parametrisation or a mask; make it a "
                "plain parameter first (torch.nn.utils.parametrize.remove_parametrizations or "
                "torch.nn.utils.prune.remove)"
            )


def _execution_order(model: nn.Module, example: Tensor) -> list[str]:
    """Names of the convolutions and linear layers in the order in which they first run."""
    calls: dict[str, int] = {}
    layers = {n: m for n, m in model.named_modules() if isinstance(m, (_ConvNd, nn.Linear))}

    def note(name):
        return lambda *_: calls.__setitem__(name, calls.get(name, 0) + 1)

    hooks = [module.register_forward_hook(note(name)) for name, module in layers.items()]
    try:
        with evaluating(model), torch.no_grad():
            model(example)
    except RuntimeError as error:
        raise ValueError(
            f"the model does not take inputs of shape {tuple(example.shape)} and dtype "
            f"{example.dtype}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    for name, count in calls.items():
        if count > 1:
            raise PruningError(
                f"layer {name!r} runs {count} times in one pass; networks that share weights "
                "cannot be pruned: removing channels for one use would break the other"
            )
    if unused := [name for name in layers if name not in calls]:
        warnings.warn(
            f"layers that do not run in evaluation mode are left as they are: {unused}",
            stacklevel=3,
        )
    return list(calls)


def _dependency_graph(model: nn.Module, example: Tensor) -> tuple:
    """torch-pruning's graph, traced on a copy of the model, which is returned too."""
    scratch = copy.deepcopy(model).eval()
    for parameter in scratch.parameters():  # frozen ones leave no trace in autograd's graph
        parameter.requires_grad_(parameter.is_floating_point())
    with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it cannot follow is tried out below
        graph = tp.DependencyGraph().build_dependency(scratch, example.clone(), verbose=False)
    return graph, scratch


def _batch_norms(graph, modules: dict[str, nn.Module], order: list[str]) -> dict[str, str]:
    names = {module: name for name, module in modules.items()}
    norms = {}
    for name in order:
        node = graph.module2node.get(modules[name])
        readers = node.outputs if node else []
        if len(readers) == 1 and isinstance(readers[0].module, _BatchNorm):
            norms[name] = names[readers[0].module]
    return norms


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd) and 1 < module.groups == module.out_channels


class _Ties:
    """Connected components of channels, read off the dependency graph.

    A channel is (module, side, index); the channels of one side of one module are a block
    of consecutive numbers.
    """

    def __init__(self, graph, modules: dict[str, nn.Module], order: list[str]):
        self.graph, self.modules, self.order = graph, modules, order
        self.names = {module: name for name, module in modules.items()}
        self.blocks: dict[tuple[str, str], int] = {}  # (module, role) -> first number
        self.sizes: dict[tuple[str, str], int] = {}
        self.count = 0
        self.left: list[np.ndarray] = []
        self.right: list[np.ndarray] = []
        self.barred: dict[int, str] = {}  # channel -> reason
        for name in order:
            self._follow(name)
        for name in order:
            self._tie_blocks_of_grouped(name)
        self.labels = self._components()

    def _block(self, name: str, role: str, size: int) -> int:
        if (name, role) not in self.blocks:
            self.blocks[name, role], self.sizes[name, role] = self.count, size
            self.count += size
        return self.blocks[name, role]

    def _follow(self, name: str) -> None:
        """Add the ties that removing outputs of one layer brings."""
        module = self.modules[name]
        units = module.out_features if isinstance(module, nn.Linear) else module.out_channels
        covered = (name, "out") in self.blocks
        first = self._block(name, "out", units)
        if covered and self._reached(first, units):
            return
        node = self.graph.module2node.get(module)
        if node is None:
            self._bar(first + np.arange(units), "it does not lead to the output")
            return
        if isinstance(module, _ConvTransposeNd):
            self._bar(first + np.arange(units), "transposed convolutions are not supported")
        pruner = self.graph.get_pruner_of_module(module).prune_out_channels
        for item in self.graph.get_pruning_group(module, pruner, list(range(units))):
            roots = first + np.asarray(item.root_idxs)
            self._tie(item.dep, np.asarray(item.idxs), roots)

    def _reached(self, first: int, units: int) -> bool:
        touched = np.concatenate(self.right) if self.right else np.empty(0, int)
        return np.isin(np.arange(first, first + units), touched).all()

    def _bar(self, channels: np.ndarray, reason: str) -> None:
        for channel in channels.tolist():
            self.barred.setdefault(channel, reason)

    def _tie(self, dep, indices: np.ndarray, roots: np.ndarray) -> None:
        target = dep.target.module
        if isinstance(target, tp.ops._OutputOp):
            return self._bar(roots, "its channels are outputs of the network")
        name = self.names.get(target)
        out = self.graph.is_out_channel_pruning_fn(dep.handler)
        if isinstance(target, (_ConvNd, nn.Linear)):
            if isinstance(target, _ConvTransposeNd) or (
                _is_depthwise(target) and target.in_channels != target.out_channels
            ):
                return self._bar(roots, f"{name!r}, a {type(target).__name__}, is tied to it")
            if out and not dep.target.outputs:
                self._bar(roots, "its channels are outputs of the network")
            linear = isinstance(target, nn.Linear)
            rows = target.out_features if linear else target.out_channels
            columns = target.in_features if linear else target.in_channels
            out = out or _is_depthwise(target)
            first = self._block(name, "out" if out else "in", rows if out else columns)
        elif isinstance(target, (_BatchNorm, _InstanceNorm)):
            first = self._block(name, "channel", target.num_features)
        elif isinstance(target, nn.PReLU):
            if target.num_parameters == 1:
                return None
            first = self._block(name, "channel", target.num_parameters)
        elif isinstance(target, nn.Parameter) or any(True for _ in target.parameters()):
            kind = "bare parameter" if isinstance(target, nn.Parameter) else type(target).__name__
            return self._bar(roots, f"a {kind} is tied to it, which is not supported")
        else:
            return None
        self.left.append(roots)
        self.right.append(first + indices)
        return None

    def _tie_blocks_of_grouped(self, name: str) -> None:
        """Inputs and outputs of each block of a grouped convolution form one unit."""
        module = self.modules[name]
        if getattr(module, "groups", 1) == 1 or _is_depthwise(module):
            return
        for role, channels in (("out", module.out_channels), ("in", module.in_channels)):
            first = self._block(name, role, channels)
            block = np.arange(channels) // (channels // module.groups)
            self.left.append(
                self.blocks[name, "out"] + block * (module.out_channels // module.groups)
            )
            self.right.append(first + np.arange(channels))

    def _components(self) -> np.ndarray:
        """Number of the connected component of each channel."""
        from scipy.sparse import coo_array  # a tenth of what importing the library takes
        from scipy.sparse.csgraph import connected_components

        left, right = (
            np.concatenate([np.empty(0, int), *side]) for side in (self.left, self.right)
        )
        ties = coo_array((np.ones(len(left)), (left, right)), shape=(self.count, self.count))
        return connected_components(ties, directed=False)[1]

    def groups(self) -> tuple[dict[str, Group], dict[str, str]]:
        """Units with the same members make a group; barred ones are listed with the reason."""
        reasons = {int(self.labels[c]): why for c, why in self.barred.items()}
        units: dict[int, dict[tuple[str, str], list[int]]] = {}
        for block, first in self.blocks.items():
            for index, label in enumerate(self.labels[first : first + self.sizes[block]].tolist()):
                units.setdefault(label, {}).setdefault(block, []).append(index)
        alike: dict[tuple, list[dict]] = {}
        fixed: dict[str, str] = {}
        for label, unit in units.items():
            producers = [name for name, role in unit if role == "out"]
            if label in reasons:
                fixed.update((name, reasons[label]) for name in producers)
            elif producers:
                key = tuple(sorted((block, len(indices)) for block, indices in unit.items()))
                alike.setdefault(key, []).append(unit)
        ordered = [self._group(key, members) for key, members in alike.items()]
        position = {name: i for i, name in enumerate(self.order)}
        ordered.sort(key=lambda g: (position[g.name], g.producers[0].indices[0, 0].item()))
        groups: dict[str, Group] = {}
        for group in ordered:
            name, k = group.name, 2
            while name in groups:
                name, k = f"{group.name}#{k}", k + 1
            groups[name] = Group(name, group.units, group.members)
        return groups, fixed

    def _group(self, key: tuple, units: list[dict]) -> Group:
        position = {name: i for i, name in enumerate(self.modules)}
        position.update((name, i - len(self.order)) for i, name in enumerate(self.order))
        name = min((n for (n, role), _ in key if role == "out"), key=position.__getitem__)
        units.sort(key=lambda unit: unit[name, "out"])
        members = [
            Member(module, role, torch.tensor([unit[module, role] for unit in units]))
            for (module, role), _ in sorted(key, key=lambda item: position[item[0][0]])
            # the inputs of a grouped convolution go with its outputs
            if role != "in" or getattr(self.modules[module], "groups", 1) == 1
        ]
        return Group(name, len(units), tuple(members))


def _tried_out(model: nn.Module, layout: Layout, example: Tensor) -> Layout:
    """The layout without the groups whose removal does not do what masking does."""
    parameter = next(model.parameters())
    example = example.to(parameter.dtype) if example.is_floating_point() else example

    def fault(groups: dict[str, Group]) -> str | None:
        trial = replace(layout, groups=groups, fixed={})
        masks = {}
        for name, group in groups.items():
            masks[name] = torch.ones(group.units, dtype=torch.bool)
            if group.units > 1:
                masks[name][group.units // 2] = False
        return disagreement(silenced(model, trial, masks), removed(model, trial, masks), example)

    if fault(layout.groups) is None:
        return layout
    groups, fixed = {}, dict(layout.fixed)
    for name, group in layout.groups.items():
        why = fault({name: group})
        if why is None:
            groups[name] = group
        else:
            fixed[name] = f"removing a unit does not do what masking it does: {why}"
    if groups and (why := fault(groups)) is not None:
        raise PruningError(f"the groups of this network depend on each other: {why}")
    return replace(layout, groups=groups, fixed=fixed)
