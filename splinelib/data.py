"""Datasets as tensors: whole, in memory, uint8.

An image classification set of the paper's size fits in memory (CIFAR-10 is 184 MB as bytes), so
there is no loader: training gathers a batch, crops and flips it in one operation, and
normalises it, all on the device where the images live. A folder of more images than that is
decoded once into a file, of which the system brings in what a batch needs.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .errors import DamagedFile
from .files import replacing, repository
from .progress import bar

NAMES = ("digits", "cifar10", "cifar100", "folder:PATH")

# Channel statistics of Early-Bird Tickets' released code (RICE-EIC/Early-Bird-Tickets, main.py),
# which it uses for CIFAR-10 and CIFAR-100 alike. Other sets are measured.
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)

_CLASSES = {"cifar10": 10, "cifar100": 100}
# Bytes of decoded images from which a folder's are kept in a file, and images per step through it.
_IN_MEMORY, _CHUNK = 2**30, 4096
_IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp"}


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
        mean = images.new_tensor(self.mean, dtype=torch.float32).view(-1, 1, 1)
        std = images.new_tensor(self.std, dtype=torch.float32).view(-1, 1, 1)
        return (images.float() / 255 - mean) / std

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
        """
        if not 0 < validation < 1:
            raise ValueError(
                f"validation is a share of the training images in (0, 1), not {validation}."
            )
        held_out = _stratified(self.train_labels.cpu(), validation, seed)
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


def load(name: str, root: str | os.PathLike | None = None, image_size: int = 64) -> Dataset:
    """Load a dataset by name.

    Parameters
    ----------
    name : str
        - ``"digits"``: 8 x 8 handwritten digits of scikit-learn, 1,438 to train and 359 to test.
          Needs no download.
        - ``"cifar10"``, ``"cifar100"``: from ``root/NAME.npz`` if that is there, otherwise
          downloaded through torchvision once and kept there.
        - ``"folder:PATH"``: a tree like ImageNet's, ``PATH/train/CLASS/*.jpg`` and
          ``PATH/val/CLASS/*.jpg`` (or ``test``). Images are scaled and centre-cropped once, so
          training crops and mirrors them as it does small ones, and does not rescale them. From
          1 GiB of decoded images on they are kept in ``root/folders`` and mapped into memory.
    root : path, optional
        Folder of the cached files. Default: the environment variable
        ``SPLINELIB_DATA``, else ``data/cache`` of the checkout, else ``~/.cache/splinelib``.
    image_size : int
        Side in pixels that ``folder:`` images are scaled and centre-cropped to.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        The name is unknown.
    DamagedFile
        The cache file cannot be read, or does not hold what it should.
    ConnectionError
        The dataset has to be downloaded and cannot be.
    FileNotFoundError
        A folder of the tree is missing.

    Examples
    --------
    >>> digits = load("digits")
    >>> digits.shape, len(digits.train_images), len(digits.classes)
    ((1, 8, 8), 1438, 10)
    """
    if not isinstance(name, str):
        raise TypeError(f"A dataset is loaded by its name, a string, not by {type(name).__name__}.")
    if name == "digits":
        return _digits()
    if name in _CLASSES:
        return _cifar(name, Path(root) if root is not None else cache_folder())
    if name.startswith("folder:"):
        folder = Path(name.removeprefix("folder:")).expanduser()
        return _folder(name, folder, image_size, Path(root) if root is not None else cache_folder())
    raise ValueError(f"There is no dataset {name!r}. Known: {', '.join(NAMES)}.")


def cache_folder() -> Path:
    """Folder of the cached datasets: see `root` of `load`."""
    if os.environ.get("SPLINELIB_DATA"):
        return Path(os.environ["SPLINELIB_DATA"]).expanduser()
    root = repository()
    return root / "data" / "cache" if root else Path.home() / ".cache" / "splinelib"


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
        Number of the first image in a larger batch, and that batch's size: each image is then
        treated as it would be there. For processes that share a batch.

    Returns
    -------
    Tensor
        Same shape and dtype, channels last in memory.
    """
    count, _, height, width = images.shape
    device = images.device
    if padding is None:
        padding = max(1, min(height, width) // 8)
    begin, whole = (0, count) if place is None else place
    shifts = torch.randint(
        0, 2 * padding + 1, (2, whole, 1), generator=generator, device=generator.device
    )[:, begin : begin + count]
    mirrored = torch.rand(whole, 1, generator=generator, device=generator.device) < 0.5
    mirrored = mirrored[begin : begin + count]
    rows = shifts[0].to(device) + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, -1)
    if flip:
        columns = torch.where(mirrored.to(device), width - 1 - columns, columns)
    columns = shifts[1].to(device) + columns
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    number = torch.arange(count, device=device)
    # Indices on either side of a slice: the result is (N, H, W, C).
    gathered = padded[number[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return gathered.permute(0, 3, 1, 2)


def toy(name: str, n: int = 400, noise: float = 0.05, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two-class problems in the plane, small enough to draw.

    Parameters
    ----------
    name : str
        - ``"cross"``: the square cut by its two diagonals; opposite quarters share a class, so
          the boundary between the classes is an X (our version of the X-shaped problem in the
          paper's figures).
        - ``"spiral"``: two arms wound around each other, one and a half turns.
        - ``"moons"``: two half circles, one inside the bend of the other.
    n : int
        Number of points, at least 2.
    noise : float
        Standard deviation of the Gaussian noise on both coordinates, in units of the square
        [-1, 1]^2 that the noise-free points lie in.
    seed : int
        Seed of the points.

    Returns
    -------
    points : Tensor
        float32, shape (n, 2).
    labels : Tensor
        int64, shape (n,), 0 or 1, balanced to within one point for spiral and moons.

    Examples
    --------
    >>> points, labels = toy("cross", n=100)
    >>> points.shape, labels.unique().tolist()
    (torch.Size([100, 2]), [0, 1])
    """
    if name not in _TOYS:
        raise ValueError(f"There is no toy problem {name!r}. Known: {', '.join(_TOYS)}.")
    if n < 2:
        raise ValueError(f"A two-class problem needs n >= 2 points, not {n}.")
    if noise < 0:
        raise ValueError(f"noise is a standard deviation, at least 0, not {noise}.")
    generator = torch.Generator().manual_seed(seed)
    points, labels = _TOYS[name](n, generator)
    points = points + noise * torch.randn(n, 2, generator=generator)
    return points, labels


def _cross(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    points = 2 * torch.rand(n, 2, generator=generator) - 1
    return points, (points[:, 0].abs() > points[:, 1].abs()).long()


def _spiral(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % 2
    # The square root spreads the points evenly along the arm.
    turn = torch.rand(n, generator=generator).sqrt()
    angle = 3 * torch.pi * turn + torch.pi * labels
    return 0.95 * turn[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1), labels


def _moons(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % 2
    angle = torch.pi * torch.rand(n, generator=generator)
    side = 1.0 - 2.0 * labels
    x = side * angle.cos() + labels - 0.5
    y = side * (angle.sin() - 0.25)
    return torch.stack((x, y), dim=1) / 1.5, labels


_TOYS: dict[str, Callable[[int, torch.Generator], tuple[Tensor, Tensor]]] = {
    "cross": _cross,
    "spiral": _spiral,
    "moons": _moons,
}


def _stratified(labels: Tensor, share: float, seed: int) -> Tensor:
    """Mask, bool (N,), of a random `share` of every class."""
    generator = torch.Generator().manual_seed(seed)
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
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(available, generator=generator)[:wanted].sort().values


def _statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of images scaled to [0, 1]."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.zeros(images.shape[1], 256, dtype=torch.float64)
    for chunk in images.split(_CHUNK):  # images may be more than fit in memory
        pixels = chunk.permute(1, 0, 2, 3).flatten(1)
        counts += torch.stack([torch.bincount(channel, minlength=256) for channel in pixels])
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ levels
    std = (share @ levels.square() - mean.square()).clamp(min=0).sqrt()
    # A constant channel has nothing to divide by.
    std = torch.where(std > 0, std, torch.ones_like(std))
    return tuple(mean.tolist()), tuple(std.tolist())


def _digits() -> Dataset:
    pixels, target = _read_digits()
    # 0 .. 16 shades become 0 .. 255.
    images = torch.from_numpy((pixels * (255 / 16)).round().astype(np.uint8)).view(-1, 1, 8, 8)
    labels = torch.from_numpy(target.astype(np.int64))
    test = _stratified(labels, 0.2, seed=0)
    mean, std = _statistics(images[~test])
    return Dataset(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=[str(digit) for digit in range(10)],
        mean=mean,
        std=std,
        flips=False,
    )


def _read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 64) in 0 .. 16 and labels (N,) of scikit-learn's digits.

    The table is read from where scikit-learn keeps it, because importing scikit-learn takes longer
    than many a chapter; its own reader does it should the table ever move.
    """
    package = importlib.util.find_spec("sklearn")
    table = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz" if package else None
    if table is not None and table.is_file():
        rows = np.loadtxt(table, delimiter=",")
        return rows[:, :64], rows[:, 64]
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def _cifar(name: str, root: Path) -> Dataset:
    path = root / f"{name}.npz"
    if not path.exists():
        _download(name, path)
    arrays = _read_cache(path, _CLASSES[name])
    images = {
        part: torch.from_numpy(arrays[f"{part}_images"]).permute(0, 3, 1, 2).contiguous()
        for part in ("train", "test")
    }
    return Dataset(
        name=name,
        train_images=images["train"],
        train_labels=torch.from_numpy(arrays["train_labels"].astype(np.int64)),
        test_images=images["test"],
        test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
        classes=[str(label) for label in arrays["classes"]],
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
    )


def _read_cache(path: Path, classes: int) -> dict[str, np.ndarray]:
    """Arrays of a cache file, checked, or `DamagedFile` saying what is wrong with it."""
    keys = ("train_images", "train_labels", "test_images", "test_labels", "classes")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in keys if key not in archive]
            arrays = {key: archive[key] for key in keys if key not in missing}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        if isinstance(error, PermissionError | IsADirectoryError):
            raise
        raise _damaged(path, f"it cannot be read ({error})") from error
    if missing:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (32, 32, 3):
            raise _damaged(
                path,
                f"{part}_images should be uint8 of shape (N, 32, 32, 3) and is {images.dtype} of "
                f"shape {images.shape}",
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1] or not len(labels):
            raise _damaged(
                path,
                f"{part}_labels should be one integer for each of {len(images)} images and is "
                f"{labels.dtype} of shape {labels.shape}",
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise _damaged(path, f"{part}_labels go outside 0 .. {classes - 1}")
    if arrays["classes"].shape != (classes,) or arrays["classes"].dtype.kind != "U":
        raise _damaged(path, f"classes should be {classes} names")
    return arrays


def _damaged(path: Path, what: str) -> DamagedFile:
    return DamagedFile(
        f"{path} is not a usable dataset cache: {what}. Delete the file and try again; it will be "
        "made anew, for CIFAR from the network."
    )


def _download(name: str, path: Path) -> None:
    """Fetch a CIFAR set through torchvision and keep it at `path`."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=f".{name}-", dir=path.parent)
    try:
        train = kind(folder, train=True, download=True)
        test = kind(folder, train=False)
        with replacing(path) as temporary:
            np.savez_compressed(
                temporary,
                train_images=train.data,
                train_labels=np.asarray(train.targets, dtype=np.int64),
                test_images=test.data,
                test_labels=np.asarray(test.targets, dtype=np.int64),
                classes=np.asarray(train.classes),
            )
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{name} is not at {path} and could not be downloaded ({error}). Connect to a network "
            f"and try again, or copy a {name}.npz made on another machine to {path.parent}, or "
            'use "digits", which needs no download.'
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(name: str, path: Path, image_size: int, root: Path) -> Dataset:
    if image_size < 1:
        raise ValueError(f"image_size is a number of pixels, at least 1, not {image_size}.")
    train_folder = path / "train"
    test_folder = path / "val" if (path / "val").is_dir() else path / "test"
    for folder in (path, train_folder, test_folder):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"There is no folder {folder}. An image folder holds train/CLASS/*.jpg and "
                "val/CLASS/*.jpg (or test/CLASS/*.jpg)."
            )
    classes = sorted(entry.name for entry in train_folder.iterdir() if entry.is_dir())
    if len(classes) < 2:
        raise ValueError(f"{train_folder} holds {len(classes)} class folders; two are the least.")
    train_images, train_labels = _read_tree(train_folder, classes, image_size, root)
    test_images, test_labels = _read_tree(test_folder, classes, image_size, root)
    mean, std = _statistics(train_images)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=classes,
        mean=mean,
        std=std,
    )


def _read_tree(folder: Path, classes: list[str], size: int, root: Path) -> tuple[Tensor, Tensor]:
    unknown = sorted({entry.name for entry in folder.iterdir() if entry.is_dir()} - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} holds classes that train lacks: {', '.join(unknown[:5])}"
            f"{' and more' if len(unknown) > 5 else ''}."
        )
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in _IMAGE_SUFFIXES
    ]
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no images ({', '.join(sorted(_IMAGE_SUFFIXES))} in class folders)."
        )
    labels = torch.tensor([label for _, label in files])
    paths, shape = [file for file, _ in files], (len(files), 3, size, size)
    if len(files) * 3 * size**2 < _IN_MEMORY:
        images = np.empty(shape, np.uint8)
        _decode(paths, images, f"read {folder.name}")
        return torch.from_numpy(images), labels
    cache = root / "folders" / f"{folder.parent.name}-{folder.name}-{size}-{_digest(paths)}.npy"
    if not cache.exists():
        with replacing(cache) as temporary:
            written = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            _decode(paths, written, f"decode {folder.name} into {cache.name}")
            written.flush()
            del written
    try:
        # Copy on write: the file stays as it is, and PyTorch has memory that it may write to.
        images = np.load(cache, mmap_mode="c")
    except (ValueError, EOFError, OSError) as error:
        raise _damaged(cache, f"it cannot be read ({error})") from error
    if images.shape != shape or images.dtype != np.uint8:
        raise _damaged(cache, f"it should be uint8 of shape {shape}, not {images.shape}")
    return torch.from_numpy(images), labels


def _decode(files: list[Path], images: np.ndarray, label: str) -> None:
    """Read every file into its row."""
    # Pillow decodes outside the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor() as pool, bar(total=len(files), desc=label, unit="image") as shown:
        for start in range(0, len(files), _CHUNK):  # so that results do not pile up
            chunk = files[start : start + _CHUNK]
            decoded = pool.map(partial(_read_image, size=images.shape[-1]), chunk)
            for row, pixels in enumerate(decoded, start):
                images[row] = pixels
                shown.update()


def _digest(files: list[Path]) -> str:
    """A name for these files as they are now: another when any is added, removed or changed."""
    told = hashlib.sha256()
    for file in files:
        status = file.stat()
        told.update(f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return told.hexdigest()[:16]


def _read_image(file: Path, size: int) -> np.ndarray:
    """One image, scaled and centre-cropped to a square: uint8 (3, size, size)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.draft("RGB", (2 * size, 2 * size))  # JPEG: decode no larger than needed
            fitted = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DamagedFile(
            f"{file} is not an image that can be read ({error}). Replace or remove it, and try "
            "again."
        ) from error
    return np.array(fitted).transpose(2, 0, 1)
