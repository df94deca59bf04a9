"""Images cropped and mirrored at random, as training sees them: drawn first, then made.

What is drawn lies in tensors of one shape whatever it says, so that making it can be captured as
part of a CUDA graph.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """Crops of images of one size, padded with black, and mirrorings with probability one half.

    Attributes
    ----------
    padding : int
        Pixels added on each side.
    flip : bool
        Whether to mirror. That is drawn in any case: the numbers after it do not depend on it.
    """

    padding: int
    flip: bool

    @classmethod
    def of(cls, height: int, width: int, flip: bool, padding: int | None = None) -> "Crops":
        """Those of images of this size; by default an eighth of the side is added, 4 for CIFAR."""
        padding = max(1, min(height, width) // 8) if padding is None else padding
        return cls(padding, flip)

    def draw(
        self, count: int, generator: torch.Generator, place: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw what happens to so many images.

        Parameters
        ----------
        count : int
        generator : torch.Generator
            Source of every random choice.
        place : (int, int), optional
            Number of the first image in a larger batch, and that batch's size: each image is then
            treated as it would be there. For processes that share a batch.

        Returns
        -------
        shifts : Tensor
            int64, shape (2, count, 1): the row and the column of the padded image at which the crop
            begins; on the generator's device.
        mirrored : Tensor
            bool, shape (count, 1), on the same device.
        """
        begin, whole = (0, count) if place is None else place
        of = {"generator": generator, "device": generator.device}
        shifts = torch.randint(0, 2 * self.padding + 1, (2, whole, 1), **of)
        mirrored = torch.rand(whole, 1, **of) < 0.5
        return shifts[:, begin : begin + count], mirrored[begin : begin + count]

    def make(self, images: Tensor, shifts: Tensor, mirrored: Tensor) -> Tensor:
        """Crop and mirror images as was drawn, in one gather on their device.

        Parameters
        ----------
        images : Tensor
            uint8 (or any dtype), shape (N, C, H, W).
        shifts, mirrored : Tensor
            What `draw` gave, on the same device.

        Returns
        -------
        Tensor
            Same shape and dtype, channels last in memory.
        """
        count, _, height, width = images.shape
        device = images.device
        rows = shifts[0] + torch.arange(height, device=device)
        columns = torch.arange(width, device=device).expand(count, -1)
        if self.flip:
            columns = torch.where(mirrored, width - 1 - columns, columns)
        columns = shifts[1] + columns
        padded = torch.nn.functional.pad(images, (self.padding,) * 4)
        number = torch.arange(count, device=device)
        # Indices on either side of a slice: the result is (N, H, W, C).
        gathered = padded[number[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return gathered.permute(0, 3, 1, 2)


def augment(
    images: Tensor,
    generator: torch.Generator,
    padding: int | None = None,
    flip: bool = True,
    place: tuple[int, int] | None = None,
) -> Tensor:
    """Crop and mirror a batch of training images at random, in one gather.

    Each image is padded with black, cut back to its size at a random place, and mirrored with
    probability one half: the augmentation of Early-Bird Tickets, for training images only.

    Parameters
    ----------
    images : Tensor
        uint8 (or any dtype), shape (N, C, H, W), on the device of `generator`.
    generator : torch.Generator
        Source of every random choice.
    padding : int, optional
        Pixels added on each side. Default: an eighth of the side, 4 for CIFAR.
    flip : bool
        Whether to mirror.
    place : (int, int), optional
        As in `Crops.draw`.

    Returns
    -------
    Tensor
        Same shape and dtype, channels last in memory.
    """
    crops = Crops.of(*images.shape[-2:], flip, padding)
    shifts, mirrored = crops.draw(len(images), generator, place)
    return crops.make(images, shifts.to(images.device), mirrored.to(images.device))
