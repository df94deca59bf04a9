"""Networks that do not do the same for every input: one of several, or only the first layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Routed(nn.Module):
    """Several networks, of which each input is given to the one whose centre is nearest.

    Parameters
    ----------
    centres : Tensor, shape (K, F)
        Of flattened inputs.
    experts : sequence of torch.nn.Module, length K

    Raises
    ------
    ValueError
        If there are no centres, not as many as networks, or some that are not finite.
    """

    def __init__(self, centres: Tensor, experts: Sequence[nn.Module]):
        super().__init__()
        if centres.dim() != 2 or not len(centres) or not centres.isfinite().all():
            raise ValueError(
                f"centres should be finite, of shape (K, F), a row for each network; they are of "
                f"shape {tuple(centres.shape)}"
            )
        if len(centres) != len(experts):
            raise ValueError(
                f"there are {len(centres)} centres and {len(experts)} networks: give one for each"
            )
        self.register_buffer("centres", centres.detach().clone())
        self.register_buffer("offsets", -0.5 * self.centres.square().sum(1))
        self.experts = nn.ModuleList(experts)

    def chosen(self, inputs: Tensor) -> Tensor:
        """Which network each input is given to, int64, shape (N,)."""
        return torch.addmm(self.offsets, inputs.flatten(1), self.centres.T).argmax(1)

    def forward(self, inputs: Tensor) -> Tensor:
        chosen = self.chosen(inputs)
        if len(inputs) == 1:
            return self.experts[int(chosen)](inputs)
        outputs = None
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero().flatten()
            if len(rows):
                own = expert(inputs[rows])
                outputs = own.new_empty(len(inputs), *own.shape[1:]) if outputs is None else outputs
                outputs[rows] = own
        return outputs


class EarlyExit(nn.Module):
    """A network whose first layers answer for themselves where they are sure.

    Parameters
    ----------
    first : torch.nn.Module
        The first layers.
    head : torch.nn.Module
        Logits from what they give.
    rest : torch.nn.Module
        The other layers.
    threshold : float
        Inputs of which the head's largest probability is at least this go no further.
    """

    def __init__(self, first: nn.Module, head: nn.Module, rest: nn.Module, threshold: float):
        super().__init__()
        self.first, self.head, self.rest, self.threshold = first, head, rest, threshold

    def confidence(self, inputs: Tensor) -> Tensor:
        """The head's largest probability of each input, shape (N,)."""
        return self.head(self.first(inputs)).softmax(1).amax(1)

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.first(inputs)
        logits = self.head(features)
        unsure = (logits.softmax(1).amax(1) < self.threshold).nonzero().flatten()
        if len(unsure):
            logits[unsure] = self.rest(features[unsure])
        return logits
