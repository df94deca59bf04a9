"""What is trained on, and what happens to a batch of it on its way into the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import parallel
from ..data.dataset import Dataset
from .labels import check_labels


@dataclass(frozen=True)
class Batches:
    """Inputs with their classes, handed out in batches on the device of the training.

    Attributes
    ----------
    inputs, labels : Tensor
        On `device`, or on the host if they are too many for it.
    transform : callable
        Normalises a batch of inputs.
    crop : callable or None
        ``crop(inputs, generator, place)`` augments a batch; see `Dataset.augment`.
    device : torch.device
    """

    inputs: Tensor
    labels: Tensor
    transform: Callable[[Tensor], Tensor]
    crop: Callable[..., Tensor] | None
    device: torch.device

    @classmethod
    def of(
        cls, data: Dataset | tuple[Tensor, Tensor], augment: bool, device: torch.device
    ) -> "Batches":
        """Those of a dataset's training images, or of inputs with labels, never augmented.

        Raises
        ------
        TypeError
            For something else, or inputs that are not floating point.
        ValueError
            For fewer than two inputs, or not a label for each.
        """
        if isinstance(data, Dataset):
            near = data.near(device)
            crop = near.augment if augment else None
            return cls(near.train_images, near.train_labels, near.to_float, crop, device)
        try:
            inputs, labels = data
        except (TypeError, ValueError):
            raise TypeError(
                f"data is a Dataset or a pair (inputs, labels), not {type(data).__name__}."
            ) from None
        if not inputs.is_floating_point():
            raise TypeError(
                f"Inputs are floating point, not {inputs.dtype}; pass the Dataset itself for "
                "images."
            )
        check_labels(labels, inputs, least=2)
        inputs = inputs.detach()  # nothing is learned of the inputs
        labels = labels.to(device, torch.int64)
        return cls(inputs.to(device), labels, lambda batch: batch, None, device)

    def __len__(self) -> int:
        return len(self.inputs)

    def example(self) -> Tensor:
        """The first input as the network takes it."""
        return self.transform(self.inputs[:1].to(self.device))

    def shuffled(
        self, batch_size: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor, int] | None]:
        """All inputs in a random order, a batch at a time.

        Yields
        ------
        inputs, labels : Tensor
            This process' part of the batch.
        size : int
            Inputs of the whole batch. In place of a last batch that has fewer than two inputs for
            each process, None: batch norm cannot normalise a single value.
        """
        order = torch.randperm(len(self), generator=generator, device=self.device)
        for start, batch in enumerate(order.to(self.inputs.device).split(batch_size)):
            if start and len(batch) < 2 * parallel.processes():
                yield None
                continue
            share = parallel.part(len(batch))
            inputs, labels = self._brought(batch[share])
            if self.crop is not None:
                inputs = self.crop(inputs, generator, (share.start, len(batch)))
            yield self.transform(inputs), labels, len(batch)

    def _brought(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Some inputs and labels; from the host's memory to a GPU, which does not wait for them."""
        inputs, labels = self.inputs[index], self.labels[index]
        if inputs.device == self.device:
            return inputs, labels
        return tuple(
            tensor.pin_memory().to(self.device, non_blocking=True) for tensor in (inputs, labels)
        )
