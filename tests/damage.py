"""Files that the project writes, damaged in every way, and what becomes of reading them.

``python tests/damage.py 200`` counts, as `tests/README.md` says it.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import splinelib as sl
from splinelib.data import caches
from splinelib.errors import DamagedFile
from splinelib.experiments import Protocol, read_record, resuming, run, watch
from splinelib.training import read_checkpoint


@dataclass(frozen=True)
class Kind:
    """A kind of file: a sound one, and how it is read."""

    path: Path
    read: Callable[[Path], object]

    def outcome(self, damaged: bytes) -> str:
        """What reading the file comes to when it holds other bytes; then it is as it was."""
        whole, content = self.path.read_bytes(), self.read(self.path)
        self.path.write_bytes(damaged)
        try:
            return "without effect" if same(self.read(self.path), content) else "silently wrong"
        except DamagedFile as error:
            return "found" if self.path.name in str(error) else "obscure"
        except Exception as error:
            return f"obscure ({type(error).__name__})"
        finally:
            self.path.write_bytes(whole)


def kinds(folder: Path) -> dict[str, Kind]:
    """One file of each kind, made by a small run and by hand."""
    protocol = Protocol(
        **{"network": "mlp", "width": 0.5, "epochs": 2, "train_size": 64, "test_size": 32},
        **{"probe": 16, "calibration": 32},
    )
    record = run(protocol, ("spline",), (0.5,), folder=folder, progress=False)
    work = folder / "checkpoints" / protocol.name
    dense = lambda: sl.models.build("mlp", sl.data.load("digits"), 0.5)  # noqa: E731
    small = sl.prune(dense(), 0.5, example=torch.zeros(1, 1, 8, 8))
    sl.save_pruned(small, folder / "pruned.pt")
    drawn = torch.load(work / "spline-0.5.drawn.pt", weights_only=True)
    images = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), np.uint8)
    labels = np.arange(40) % 10
    np.savez_compressed(
        folder / "cifar10.npz",
        **{"train_images": images, "train_labels": labels, "test_images": images},
        **{"test_labels": labels, "classes": np.array(list("abcdefghij"))},
    )
    mapped = folder / "mapped.npy"
    np.save(mapped, images)
    caches.seal(mapped)
    codes = max(work.glob("codes-*.npz"))
    source, epoch = watch.source(
        sl.experiments.Ticket("spline", 0.5), record["early_bird"], protocol
    )
    return {
        "data cache": Kind(
            folder / "cifar10.npz", lambda path: vars(sl.data.load("cifar10", path.parent))
        ),
        "mapped images": Kind(
            mapped, lambda path: {"images": caches.read_sealed(path, images.shape)}
        ),
        "checkpoint": Kind(work / "dense.pt", read_checkpoint),
        "record": Kind(folder / f"{protocol.name}.json", read_record),
        "codes": Kind(codes, lambda path: vars(sl.RegionCodes.load(path))),
        "pruned network": Kind(
            folder / "pruned.pt", lambda path: told(sl.load_pruned(dense, path))
        ),
        "draw": Kind(work / source, lambda path: resuming.read_draw(path, {}, epoch)),
        "drawn ticket": Kind(
            work / "spline-0.5.drawn.pt",
            lambda path: told(*resuming.read_drawn(path, dense, drawn["settings"])),
        ),
    }


def told(network: torch.nn.Module, notes: dict | None = None) -> dict:
    """All that there is to know of a pruned network."""
    state = {**network.state_dict(), "record": network.pruning_record, "notes": notes}
    return state | {"training": network.training}


def truncated(whole: bytes, chance: random.Random) -> bytes:
    return whole[: chance.randrange(len(whole))]


def one_bit(whole: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(whole))
    flipped = whole[place] ^ 1 << chance.randrange(8)
    return whole[:place] + bytes([flipped]) + whole[place + 1 :]


def eight_bytes(whole: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(whole) - 8)
    return whole[:place] + chance.randbytes(8) + whole[place + 8 :]


def zeros(whole: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(whole))
    return (whole[:place] + bytes(512) + whole[place + 512 :])[: len(whole)]


DAMAGES = {"truncated": truncated, "one bit": one_bit, "8 bytes": eight_bytes, "512 zeros": zeros}


def outcomes(kind: Kind, damage: str, tries: int, seed: int = 0) -> Iterator[str]:
    """What each of some damages comes to."""
    whole, chance = kind.path.read_bytes(), random.Random(f"{kind.path.name} {damage} {seed}")
    for _ in range(tries):
        yield kind.outcome(DAMAGES[damage](whole, chance))


def same(one: object, two: object) -> bool:
    """Whether two contents are equal to the bit, tensors and arrays in them too."""
    if isinstance(one, torch.Tensor | np.ndarray):
        one, two = np.asarray(one), np.asarray(two)
        return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()
    if isinstance(one, dict):
        return [*one] == [*two] and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def main(tries: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in kinds(Path(folder)).items():
            for damage in DAMAGES:
                print(name, damage, dict(Counter(outcomes(kind, damage, tries))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
