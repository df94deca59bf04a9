"""A labelled set of images as tensors: whole, in memory, uint8.

An image classification set of the paper's size fits in memory (CIFAR-10 is 184 MB as bytes), so
there is no loader: training gathers a batch, crops and flips it in one operation, and
normalises it, all on the device where the images live.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from ..archives import digest
from ..randomness import generator_of
from .crops import Crops, augment

# Images per step through more of them than fit in memory.
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled set of images, with what training needs to know about it.

    Attributes
    ----------
    name : str
        The name that `load` was given.
    train_images, test_images : Tensor
        uint8, shape (N, C, H, W).
    train_labels, test_labels : Tensor
        int64, shape (N,), in 0 .. len(classes) - 1.
    classes : list of str
        Name of each class.
    mean, std : tuple of float
        Statistics per channel that `to_float` normalises with, for images scaled to [0, 1].
    flips : bool
        Whether a mirrored image keeps its label. It does not for digits.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: list[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        return tuple(self.train_images.shape[1:])

    @cached_property
    def digest(self) -> str:
        """Names these images, labels and statistics: other ones have another; see `archives`."""
        of_channels = torch.tensor([self.mean, self.std], dtype=torch.float64)
        images = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        return digest([*images, of_channels])

    def to_float(self, images: Tensor) -> Tensor:
        """Normalise uint8 images of this set for a network: float32, on the same device.

        Parameters
        ----------
        images : Tensor
            uint8, shape (N, C, H, W).

        Returns
        -------
        Tensor
            float32, same shape: ``(images / 255 - mean) / std`` per channel.
        """
        if images.dtype != torch.uint8:
            raise TypeError(
                f"to_float takes uint8 images, and these are {images.dtype}; "
                "pass the images of the dataset as they are, before any normalisation."
            )
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ValueError(
                f"Images of {self.name!r} have shape (N, {', '.join(map(str, self.shape))}), "
                f"and these have shape {tuple(images.shape)}."
            )
        return self.normaliser(images.device)(images)

    def normaliser(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """`to_float` of images on a device, unchecked, with its constants there once and for all.

        So nothing comes from the host when it is called, and it can be part of a CUDA graph.
        """
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        return partial(_normalised, mean=mean, std=std)

    @property
    def crops(self) -> Crops:
        """The padding and the flips that suit this set."""
        return Crops.of(*self.shape[1:], self.flips)

    def augment(
        self,
        images: Tensor,
        generator: torch.Generator,
        place: tuple[int, int] | None = None,
    ) -> Tensor:
        """`augment` with the padding and the flips that suit this set."""
        return augment(images, generator, flip=self.flips, place=place)

    def split(self, validation: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Split the training images in two, the same share of every class in each part.

        Choices (a threshold, a criterion's setting) are made on the validation part, so that the
        test images are only ever reported on.

        Parameters
        ----------
        validation : float
            Share of the training images to hold out, in (0, 1).
        seed : int
            Seed of the split.

        Returns
        -------
        train_index, validation_index : Tensor
            int64, ascending, disjoint, together every index of `train_images`.

        Raises
        ------
        ValueError
            So large a share leaves a class no image to train on, or so small a one holds none out.
        """
        if not 0 < validation < 1:
            raise ValueError(
                f"validation is a share of the training images in (0, 1), not {validation}."
            )
        labels = self.train_labels.cpu()
        held_out = stratified(labels, validation, seed)
        if not held_out.any():
            raise ValueError(
                f"validation={validation} holds out none of {len(labels)} training images. Ask for "
                "a larger share."
            )
        if lost := set(labels.tolist()) - set(labels[~held_out].tolist()):
            raise ValueError(
                f"validation={validation} leaves no image of {len(lost)} of the classes to train "
                f"on, {self.classes[min(lost)]!r} among them. Ask for a smaller share."
            )
        return (~held_out).nonzero().flatten(), held_out.nonzero().flatten()

    def subset(
        self, train: int | Tensor | None = None, test: int | Tensor | None = None, seed: int = 0
    ) -> "Dataset":
        """A smaller set: so many images drawn at random, or those at the given indices.

        Parameters
        ----------
        train, test : int, Tensor or None
            A number of images, an int64 index, or None for all of them.
        seed : int
            Seed of the draw.

        Returns
        -------
        Dataset
            With the same classes and the same statistics.
        """
        train_index = _choose(train, len(self.train_images), "train", seed)
        test_index = _choose(test, len(self.test_images), "test", seed)
        return replace(
            self,
            train_images=self.train_images[train_index],
            train_labels=self.train_labels[train_index],
            test_images=self.test_images[test_index],
            test_labels=self.test_labels[test_index],
        )

    def to(self, device: str | torch.device) -> "Dataset":
        """The same set with its tensors on `device`."""
        names = ("train_images", "train_labels", "test_images", "test_labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def near(self, device: torch.device) -> "Dataset":
        """The same set on `device` if it takes up half of what is free there or less.

        A larger one stays where it is, and training fetches it batch by batch.
        """
        if device.type != "cuda":
            return self.to(device)
        needed = self.train_images.nbytes + self.test_images.nbytes
        free, _ = torch.cuda.mem_get_info(device)
        return self.to(device) if 2 * needed <= free else self


def _normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (images.float() / 255 - mean) / std


def stratified(labels: Tensor, share: float, seed: int) -> Tensor:
    """Mask, bool (N,), of a random `share` of every class."""
    generator = generator_of(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator)
        chosen[members[order[: round(share * len(members))]]] = True
    return chosen


def _choose(wanted: int | Tensor | None, available: int, part: str, seed: int) -> Tensor | slice:
    if wanted is None:
        return slice(None)
    if isinstance(wanted, Tensor):
        return wanted
    if not 0 < wanted <= available:
        raise ValueError(f"{part} asks for {wanted} images; the set has 1 to {available}.")
    generator = generator_of(seed)
    return torch.randperm(available, generator=generator)[:wanted].sort().values


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of images scaled to [0, 1]."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.zeros(images.shape[1], 256, dtype=torch.float64)
    for chunk in images.split(CHUNK):  # images may be more than fit in memory
        pixels = chunk.permute(1, 0, 2, 3).flatten(1)
        counts += torch.stack([torch.bincount(channel, minlength=256) for channel in pixels])
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ levels
    std = (share @ levels.square() - mean.square()).clamp(min=0).sqrt()
    # A constant channel has nothing to divide by.
    std = torch.where(std > 0, std, torch.ones_like(std))
    return tuple(mean.tolist()), tuple(std.tolist())
