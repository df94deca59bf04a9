"""What is trained on, and what happens to a batch of it on its way into the network.

Which inputs a batch has and how they are cropped is drawn first, into tensors of one shape; making
the batch of them takes no more than operations on the device. So a step can be captured whole, as
one CUDA graph, and sees what an eager step sees.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import parallel
from ..data.crops import Crops
from ..data.dataset import Dataset
from .labels import check_labels


@dataclass(frozen=True)
class Batch:
    """A batch that is drawn and not made yet, or this process' part of it.

    Attributes
    ----------
    drawn : tuple of Tensor
        What `Batches.make` takes, on the device of the training.
    size : int
        Inputs of the whole batch.
    """

    drawn: tuple[Tensor, ...]
    size: int


@dataclass(frozen=True)
class Batches:
    """Inputs with their classes, handed out in batches on the device of the training.

    Attributes
    ----------
    inputs, labels : Tensor
        On `device`, or on the host if they are too many for it.
    transform : callable
        Normalises a batch of inputs.
    crops : Crops or None
        How a batch is augmented.
    device : torch.device
    """

    inputs: Tensor
    labels: Tensor
    transform: Callable[[Tensor], Tensor]
    crops: Crops | None
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
            crops = near.crops if augment else None
            normalise = near.normaliser(device)
            return cls(near.train_images, near.train_labels, normalise, crops, device)
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

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch | None]:
        """All inputs in a random order, a batch at a time, each to be made by `make`.

        Yields
        ------
        Batch or None
            In place of a last batch that has fewer than two inputs for each process, None: batch
            norm cannot normalise a single value.
        """
        order = torch.randperm(len(self), generator=generator, device=self.device)
        for start, index in enumerate(order.to(self.inputs.device).split(batch_size)):
            if start and len(index) < 2 * parallel.processes():
                yield None
                continue
            share = parallel.part(len(index))
            yield Batch(self._drawn(index[share], generator, (share.start, len(index))), len(index))

    def _drawn(
        self, index: Tensor, generator: torch.Generator, place: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        chosen = (index,) if self._resident else self._brought(index)
        moves = () if self.crops is None else self.crops.draw(len(index), generator, place)
        return *chosen, *moves

    def make(self, *drawn: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs as the network takes them, and their classes, of what was drawn of a batch.

        Nothing here waits for the device, comes from the host, or has a shape that depends on what
        was drawn.
        """
        if self._resident:
            index, *moves = drawn
            inputs, labels = self.inputs[index], self.labels[index]
        else:
            inputs, labels, *moves = drawn
        if moves:
            inputs = self.crops.make(inputs, *moves)
        return self.transform(inputs), labels

    @property
    def _resident(self) -> bool:
        """Whether all inputs are on the device of the training."""
        return self.inputs.device == self.device

    def _brought(self, index: Tensor) -> tuple[Tensor, ...]:
        """Some inputs and labels; from the host's memory to a GPU, which does not wait for them."""
        return tuple(
            tensor[index].pin_memory().to(self.device, non_blocking=True)
            for tensor in (self.inputs, self.labels)
        )
