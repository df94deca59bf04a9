"""What a run computes with: its images, its network before training, its device."""

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import data, models, parallel
from ..data.dataset import Dataset
from ..data.loading import public_name
from ..files import replacing
from ..randomness import generator_of
from .protocol import Protocol

_PLACE = "images.txt"


def prepare(
    protocol: Protocol, root: str | os.PathLike | None = None
) -> tuple[Dataset, tuple[Tensor, Tensor] | None]:
    """The images of a run, on its device if they fit there, and what it holds out of training.

    Returns
    -------
    dataset : Dataset
        Without the images that are held out.
    held_out : pair of Tensor, or None
        Images and labels, where `Protocol.validation` asks for some.
    """
    whole = _load(protocol, root).subset(protocol.train_size, protocol.test_size)
    held_out = None
    if protocol.validation:
        kept, out = whole.split(protocol.validation, protocol.seed)
        held_out = (whole.train_images[out], whole.train_labels[out])
        whole = whole.subset(train=kept)
    return whole.near(device()), held_out


def _load(protocol: Protocol, root: str | os.PathLike | None) -> Dataset:
    loaded: list[Dataset] = []

    @parallel.first_only  # what has to be downloaded or decoded first, one process gets for all
    def load() -> None:
        loaded.append(data.load(protocol.dataset, root, protocol.image_size))

    load()
    return loaded[0] if loaded else data.load(protocol.dataset, root, protocol.image_size)


def located(protocol: Protocol, work: Path) -> Protocol:
    """The protocol with the place of its image folder, if it does not say it and a run did here.

    A record names an image folder without its path, and so does the command in it. Where the images
    lay is kept with the run's checkpoints, which stay on this machine.

    Parameters
    ----------
    protocol : Protocol
    work : Path
        Folder of the run's checkpoints.
    """
    given, note = protocol.dataset, work / _PLACE
    named = given.startswith("folder:") and given == public_name(given)
    if not named or Path(given.removeprefix("folder:")).is_dir() or not note.exists():
        return protocol
    return replace(protocol, dataset=note.read_text(encoding="utf-8"))


@parallel.first_only
def keep_place(protocol: Protocol, work: Path) -> None:
    """Note for `located` where the images of a folder lie."""
    if protocol.dataset.startswith("folder:"):
        place = Path(protocol.dataset.removeprefix("folder:")).expanduser().absolute()
        with replacing(work / _PLACE) as temporary:
            temporary.write_text(f"folder:{place}", encoding="utf-8")


def device() -> torch.device:
    """Where runs are computed: this process' GPU if there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def build(protocol: Protocol, dataset: Dataset) -> nn.Module:
    """The run's network as it is before training, on the device of runs."""
    return models.build(protocol.network, dataset, protocol.width, protocol.seed).to(device())


def sample(dataset: Dataset, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A fixed sample of training images, normalised but not augmented, and their classes."""
    generator = generator_of(seed)
    index = torch.randperm(len(dataset.train_images), generator=generator)[:count]
    index = index.to(dataset.train_images.device)
    images, labels = dataset.train_images[index], dataset.train_labels[index]
    return dataset.to_float(images.to(device())), labels.to(device())
