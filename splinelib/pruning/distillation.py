"""A linear layer whose class probabilities match those of another.

Least squares spends itself on large logits that decide nothing. (The loss of Hinton, Vinyals and
Dean, 2015, for one linear layer, where it is convex.)
"""

import torch
from torch import Tensor, nn

from ..calibration.parts import in_part, parts_tried
from ..channels.layout import Layout
from ..network.modes import evaluating

# Pulls of a distilled layer towards its least-squares fit that are tried, strongest first, as
# shares of the mean square of the columns.
PULLS = (1e-2, 1e-3, 1e-4, 1e-5)
_NEWTON_STEPS, _CG_STEPS = 20, 30


def check_classifier(model: nn.Module, layout: Layout, data: Tensor) -> None:
    """Raise ValueError unless the last layer is linear and makes one row of logits per input."""
    name, seen = layout.order[-1], []
    layer = dict(model.named_modules())[name]
    hook = layer.register_forward_hook(lambda _, inputs, output: seen.append(output))
    try:
        with evaluating(model), torch.no_grad():
            output = model(data[:1].clone())
    finally:
        hook.remove()
    same = isinstance(output, Tensor) and output.shape == seen[0].shape
    if not (
        same
        and isinstance(layer, nn.Linear)
        and output.ndim == 2
        and output.shape[1] > 1
        and torch.equal(output, seen[0])
    ):
        raise ValueError(
            "compensate='distil' matches class probabilities: it takes a network whose last layer "
            f"is linear and gives one row of logits per input, which {name!r} is not; "
            "compensate='refit' takes any"
        )


def matched_probabilities(read, wanted, weight, bias) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer whose probabilities are close to those wanted.

    How far they may move is decided on a quarter of the rows, with fits on the others; of few rows
    on each quarter in turn (`calibration.parts`).
    """
    read = torch.cat([read, read.new_ones(len(read), 1)], 1)
    start = torch.cat([weight, bias[:, None]], 1)
    error = read.new_zeros(1 + len(PULLS))
    for part in parts_tried(len(read)) if len(read) > 1 else ():
        tried, current = in_part(part, len(read), len(read)).to(read.device), start
        rows = int(tried.sum())
        error[0] += rows * _divergence(read[tried], wanted[tried], start)
        for at, pull in enumerate(PULLS, start=1):
            current = _logistic(read[~tried], wanted[~tried], start, pull, current)
            error[at] += rows * _divergence(read[tried], wanted[tried], current)
    best = int(error.nan_to_num(nan=torch.inf).argmin())  # the first of equals, which moves least
    if best:
        start = _logistic(read, wanted, start, PULLS[best - 1], start)
    return start[:, :-1], start[:, -1]


def _divergence(read: Tensor, wanted: Tensor, weight: Tensor) -> float:
    """Mean cross-entropy of the probabilities under those wanted."""
    return float(-(wanted * (read @ weight.T).log_softmax(1)).sum(1).mean())


def _logistic(read: Tensor, wanted: Tensor, anchor: Tensor, pull: float, start: Tensor) -> Tensor:
    """Minimise cross-entropy plus a pull towards the anchor, by truncated Newton steps.

    The second derivative is at most half of what least squares has (Boehning 1992), whose
    factor serves as the preconditioner of the conjugate gradients.
    """
    rows = len(read)
    pull = pull * read.square().mean()
    gram = read.T @ read / (2 * rows)
    gram.diagonal().add_(pull.clamp(min=torch.finfo(read.dtype).tiny))
    factor = torch.linalg.cholesky(gram)

    def loss(weight: Tensor) -> float:
        return _divergence(read, wanted, weight) + float(
            pull / 2 * (weight - anchor).square().sum()
        )

    weight, value = start, loss(start)
    for _ in range(_NEWTON_STEPS):
        share = (read @ weight.T).softmax(1)
        gradient = (share - wanted).T @ read / rows + pull * (weight - anchor)

        def curvature(step: Tensor, share: Tensor = share) -> Tensor:
            change = read @ step.T
            change = share * (change - (share * change).sum(1, keepdim=True))
            return change.T @ read / rows + pull * step

        step = _conjugate_gradients(curvature, -gradient, factor)
        slope, length = float((gradient * step).sum()), 1.0
        while (lower := loss(weight + length * step)) > value + 1e-4 * length * slope:
            length /= 2
            if length < 1e-6:  # rounding is all that is left
                return weight
        weight, gain, value = weight + length * step, value - lower, lower
        if gain <= 1e-6 * abs(value):
            break
    return weight


def _conjugate_gradients(curvature, target: Tensor, factor: Tensor) -> Tensor:
    """Solve ``curvature(x) = target`` roughly; all matrices are (out, in)."""
    solution, rest = torch.zeros_like(target), target
    ahead = torch.cholesky_solve(rest.T, factor).T
    direction, size = ahead, (rest * ahead).sum()
    goal = 1e-4 * size
    for _ in range(_CG_STEPS):
        if size <= goal:
            break
        bent = curvature(direction)
        length = size / (direction * bent).sum()
        solution, rest = solution + length * direction, rest - length * bent
        ahead = torch.cholesky_solve(rest.T, factor).T
        before, size = size, (rest * ahead).sum()
        direction = ahead + size / before * direction
    return solution
