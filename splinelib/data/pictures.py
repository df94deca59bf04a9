"""Images of the reader's own as inputs: a folder of image files, or an array in a file."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DamagedFile
from .folders import image_files, read_image


def load_pictures(
    path: str | os.PathLike, image_size: int | None = None, grey: bool = False
) -> tuple[Tensor, list[str]]:
    """Inputs and their names.

    Parameters
    ----------
    path : path
        A folder with images, in it or in folders below, by name; or an ``.npy`` file of an array
        whose rows are the inputs as the network takes them.
    image_size : int, optional
        Of a folder's images: each is scaled and cropped to a square of so many pixels.
    grey : bool
        Whether a folder's images have one channel, the mean of red, green and blue.

    Returns
    -------
    inputs : Tensor of float32, shape (N, ...)
        Of a folder's images (N, 3 or 1, size, size). Bytes are divided by 255.
    names : list of str

    Raises
    ------
    ValueError
        There are no images, or no size for them, or a size or `grey` for an array; an array is not
        of finite numbers.
    DamagedFile
        A file cannot be read.
    FileNotFoundError
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There are no images at {path}: no such file or folder.")
    if not path.is_dir():
        if image_size is not None or grey:
            raise ValueError(
                f"{path} is no folder of images, to which alone --image-size and --grey apply: the "
                "rows of an array are taken as they are."
            )
        array = _read_array(path)
        return array, [f"row {number}" for number in range(1, len(array) + 1)]
    files = list(image_files(path))
    if not files:
        raise ValueError(f"The folder {path} holds no images (BMP, JPEG, PNG, PPM or WebP).")
    if image_size is None or not 1 <= image_size <= 8192:
        raise ValueError(
            "Images of a folder are scaled to what the network takes: give the pixels of a side "
            f"with --image-size, between 1 and 8192, not {image_size}."
        )
    pixels = np.stack([read_image(file, image_size) for file in files])
    inputs = torch.from_numpy(pixels).float() / 255
    names = [str(file.relative_to(path)) for file in files]
    return inputs.mean(1, keepdim=True) if grey else inputs, names


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images (N, C, ...) less a mean, over a deviation, one number for all channels or one each.

    Raises
    ------
    ValueError
        There is another number of them than of channels, or a deviation is not above zero.
    """
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (1, images.shape[1]):
            raise ValueError(
                f"{name} should be one number, or one for each of {images.shape[1]} channels, not "
                f"{len(numbers)}."
            )
    if not all(0 < number < float("inf") for number in std):
        raise ValueError(f"std should be above zero, not {list(std)}.")
    shape = (-1, *[1] * (images.ndim - 2))
    return (images - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)


def _read_array(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DamagedFile(
            f"{path} is no array of NumPy ({error}). Write it with numpy.save, or give a folder of "
            "images."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim < 2 or array.dtype.kind not in "uif":
        what = (
            f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several"
        )
        raise ValueError(
            f"{path} should hold one array of numbers whose rows are inputs, not {what}."
        )
    inputs = torch.from_numpy(array.astype(np.float32))
    if not inputs.isfinite().all():
        raise ValueError(f"The array in {path} holds NaN or infinite values.")
    return inputs / 255 if array.dtype == np.uint8 else inputs
