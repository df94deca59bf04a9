"""Batch-norm statistics re-estimated on unlabelled inputs, as REPAIR does it."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..channels.surgery import duplicate
from ..network.hooks import hooked
from ..network.modes import check_inputs, evaluating
from ..network.overflow import holds_nan, overflow
from ..network.surroundings import undisturbed


@undisturbed("model")
@torch.no_grad()
def renewed_statistics(model: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy of a network whose batch norms have the means and variances of what they read now.

    All inputs run through the network at once. When they reach a batch norm, its running mean and
    variance become those of what arrives, over all inputs and positions, and the pass goes on with
    them: what it says has then exactly its shift as mean and its scale as standard deviation, but
    for its ``eps``. (Jordan et al., REPAIR, ICLR 2023. Averages of the variances of batches, as
    running statistics are, lack the variance of the batches' means.)

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    inputs : Tensor, shape (N, ...)
        Unlabelled training inputs, at least two. Activations of one layer are held for all of them.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        If no batch norm has running statistics, if one is run more than once, for fewer than two
        inputs, or for inputs that no model could take.

    Examples
    --------
    >>> renewed = renewed_statistics(nn.BatchNorm1d(1), torch.tensor([[1.0], [5.0]]))
    >>> renewed.running_mean, renewed.running_var
    (tensor([3.]), tensor([4.]))
    """
    inputs = check_inputs(model, inputs, "inputs")
    if len(inputs) < 2:
        raise ValueError("the statistics of one input have no variance: give two inputs or more")
    result = duplicate(model)
    norms = {
        name: module
        for name, module in result.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    if not norms:
        raise ValueError(
            "this network has no batch norm with running statistics, so there is nothing to renew"
        )
    seen = set()

    def renew(name: str):
        def hook(norm: nn.Module, args: tuple) -> None:
            if name in seen:
                raise ValueError(
                    f"the batch norm {name!r} runs more than once, and has one mean and variance "
                    "for all its calls: give each call a batch norm of its own"
                )
            seen.add(name)
            read = args[0].double().movedim(1, 0).flatten(1)
            norm.running_mean.copy_(read.mean(1))
            norm.running_var.copy_(read.var(1, correction=0))

        return hook

    with hooked({norm: renew(name) for name, norm in norms.items()}), evaluating(result):
        if holds_nan(result(inputs.clone())):
            raise ValueError(overflow(model, inputs))
    return result
