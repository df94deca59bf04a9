"""How often a classifier is right."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..network.modes import device_of, evaluating
from ..network.overflow import holds_nan, overflow
from ..network.surroundings import undisturbed
from .labels import check_batch_size, check_classes, check_labels


@undisturbed("model")
@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    batch_size: int = 500,
    transform: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """Share of inputs whose largest output is the label's.

    Parameters
    ----------
    model : torch.nn.Module
        Evaluated in eval mode, and put back in the mode it was in.
    images : Tensor
        Inputs of shape (N, ...), moved to the model's device batch by batch.
    labels : Tensor
        int64, shape (N,).
    batch_size : int
        Inputs at a time.
    transform : callable, optional
        Applied to each batch, such as `Dataset.to_float` for uint8 images.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        Inputs, labels and outputs do not go together, `batch_size` is not a positive whole number,
        or the model's outputs are NaN; the module where that begins is named.
    TypeError
        Bytes without a transform.
    """
    check_batch_size(batch_size)
    check_labels(labels, images)
    if transform is None and not images.is_floating_point():
        raise TypeError(
            f"The inputs are {images.dtype}. Pass dataset.to_float(images), or "
            "transform=dataset.to_float to convert batch by batch."
        )
    device = device_of(model)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    nan = torch.zeros((), dtype=torch.bool, device=device)
    with evaluating(model):
        pairs = zip(images.split(batch_size), labels.split(batch_size), strict=True)
        for place, (inputs, targets) in enumerate(pairs):
            inputs = inputs.to(device, copy=True)  # a forward may write to its input
            logits = model(transform(inputs) if transform else inputs)
            if not place:  # once: asking stops the queue
                check_classes(labels, logits)
            correct += (logits.argmax(1) == targets.to(device)).sum()
            nan |= logits.isnan().any()
        if nan:  # read once, since asking stops the queue
            for inputs in images.split(batch_size):
                inputs = transform(inputs.to(device)) if transform else inputs.to(device)
                if holds_nan(model(inputs.clone())):
                    raise ValueError(overflow(model, inputs))
    return correct.item() / len(images)
