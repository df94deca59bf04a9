"""Stochastic gradient descent with momentum."""

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class SGD:
    """Stochastic gradient descent with momentum, on PyTorch's fused kernel.

    The same arithmetic as `torch.optim.SGD`, whose constructor imports PyTorch's compiler: that
    takes longer than training on digits does.
    """

    def __init__(self, model: nn.Module, momentum: float, weight_decay: float):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.buffers = [torch.zeros_like(p) for p in self.parameters]
        self.momentum, self.weight_decay = momentum, weight_decay

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Descend. A rate in a tensor, on the parameters' device, can change in a CUDA graph."""
        used = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        sgd(
            [self.parameters[i] for i in used],
            [self.parameters[i].grad for i in used],
            [self.buffers[i] for i in used],
            fused=True,
            lr=lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def state_dict(self) -> dict:
        return {"momentum_buffers": self.buffers}

    def load_state_dict(self, state: dict) -> None:
        saved = state["momentum_buffers"]
        if [buffer.shape for buffer in saved] != [buffer.shape for buffer in self.buffers]:
            raise ValueError("these momentum buffers are of another network")
        for buffer, value in zip(self.buffers, saved, strict=True):
            buffer.copy_(value)
