"""What an earlier call left behind, and whether it is of the same run.

Everything that decides a result stands in every file of a run: the protocol, a digest of the
images, of a ticket also what it is and a digest of the weights that it was drawn from. It is
compared before a file is used, so that nothing of another run gets into a record.

Files from before that are taken where it is safe. A dense checkpoint is, where all that it does not
say follows from the name of its folder; networks to draw from are, as the record beside them says
how they were made. Drawn tickets and their checkpoints are made anew.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from .. import parallel
from ..archives import digest, read_tensors, write_tensors
from ..channels.saving import from_pruned_state, pruned_state
from ..data.dataset import Dataset
from ..data.loading import public_name
from ..errors import DamagedFile, warn
from ..schemas import AMOUNT, COUNT, SHARE, mismatches
from ..text import differences
from ..training.checkpoint import read_checkpoint
from .protocol import Protocol, Ticket

_DRAW = {"epoch": COUNT, "probe": COUNT, "model": {str: object}, "settings?": dict}
_NOTES = {
    "scoring_seconds": AMOUNT,
    "scoring_flops": AMOUNT,
    "accuracy_before_training": SHARE,
    "widths": {str: [COUNT]},
}


def settings_of(
    protocol: Protocol, dataset: Dataset, held_out: tuple[Tensor, Tensor] | None
) -> dict:
    """What decides a run, as plain values: its protocol and a digest of all its images."""
    images = dataset.digest
    if held_out is not None:
        images = f"{images}+{digest(held_out)}"
    return asdict(protocol) | {"dataset": public_name(protocol.dataset), "images": images}


def settings_of_ticket(settings: dict, ticket: Ticket, weights: dict[str, Tensor]) -> dict:
    """What decides a ticket: its run, what it is, and the dense network that it is drawn from."""
    return {**settings, **asdict(ticket), "drawn_from": digest(weights.values())}


def check_images(path: Path, record: dict, settings: dict) -> None:
    """Refuse to go on with a record that was made of other images.

    Records from before a digest stood in them do not say of which images they were made. The name
    of a dataset says it, that of a folder does not.
    """
    made_of = record["dataset"].get("images")
    if made_of is None and not settings["dataset"].startswith("folder:"):
        return
    if made_of != settings["images"]:
        said = "was made of other images"
        if made_of is None:
            said = "does not say of which images it was made"
        raise ValueError(
            f"The record {path.name} {said}, and {settings['dataset']} may be another of that "
            "name, or have changed. Use the images that it was made of, or give the new record "
            "another name (--name)."
        )


@parallel.first_only
def adopt(path: Path, settings: dict, own_name: bool, test_images: int) -> None:
    """Write into a dense checkpoint from before settings stood there whose it is, if that is sure.

    Parameters
    ----------
    path : Path
        Of the checkpoint; nothing happens if there is none, or if it says whose it is.
    settings : dict
        As `settings_of` gives them.
    own_name : bool
        Whether the folder has the protocol's own name, which says every setting but the number of
        test images.
    test_images : int
        That number. The accuracies in the checkpoint are shares of it, or it is of another run.

    Raises
    ------
    ValueError
        It cannot be told.
    """
    if not path.exists():
        return
    state = read_checkpoint(path)
    if "network" in state["recipe"]:
        return
    accuracies = [row["test_accuracy"] for row in state["history"]]
    fits = all(round(share * test_images) / test_images == share for share in accuracies)
    if not (own_name and fits) or settings["dataset"].startswith("folder:"):
        raise ValueError(
            f"The checkpoint {path} was written before checkpoints said of which run they are, and "
            f"whether it is of this one cannot be told. Delete {path.parent} to start over, or "
            "give this run another name (--name)."
        )
    state["recipe"] = settings | state["recipe"]
    write_tensors(path, state)


@parallel.first_only
def discard_foreign(path: Path, settings: dict) -> None:
    """Remove the checkpoint of a ticket that is not drawn from this run's dense network.

    The dense network's own checkpoint or record has been found to be of this run before, so what
    disagrees with it was left behind by one that is gone.
    """
    if not path.exists():
        return
    recipe = read_checkpoint(path)["recipe"]
    if settings.items() <= recipe.items():
        return
    told = differences(recipe, settings) if "network" in recipe else "it does not say of which"
    warn(
        f"{path} is left behind by another run ({told}): it is removed, and the ticket is trained "
        "from its start."
    )
    path.unlink()


def read_dense(path: Path, settings: dict) -> dict[str, Tensor]:
    """Weights of a run's dense network at the end of its training.

    Raises
    ------
    DamagedFile
        The checkpoint is damaged.
    ValueError
        It is of another run, or its training has not come to the end.
    """
    state = read_checkpoint(path)
    _check_own(path, state["recipe"], settings)
    if settings["dataset"].startswith("folder:") and "images" not in state["recipe"]:
        raise ValueError(
            f"The checkpoint {path} does not say on which images it was trained. Make the run "
            "again under another name (--name)."
        )
    if len(state["history"]) < settings["epochs"]:
        raise ValueError(
            f"The dense training of {path} has come to epoch {len(state['history'])} of "
            f"{settings['epochs']}. Repeat its run to finish it."
        )
    return state["model"]


def read_draw(path: Path, settings: dict, epoch: int) -> dict:
    """A dense network that a `Watch` kept to draw tickets from, if it is of this run.

    Returns
    -------
    dict
        ``model``, its weights; the ``epoch`` after which it was kept; how many images the ``probe``
        had.

    Raises
    ------
    DamagedFile
        The file is damaged, holds what cannot be, or the network of another epoch.
    ValueError
        It is of another run.
    """
    remedy = f"Tickets cannot be drawn without it: delete the record and {path.parent} to run anew."
    draw = read_tensors(path, "checkpoint", remedy)
    if problems := list(mismatches(draw, _DRAW, "checkpoint")):
        raise DamagedFile(f"{path} is no network to draw from ({problems[0]}). {remedy}")
    _check_own(path, draw.get("settings", {}), settings)
    if draw["epoch"] != epoch:
        raise DamagedFile(
            f"{path} holds the network after epoch {draw['epoch'] + 1}, and tickets are drawn from "
            f"it as that after epoch {epoch + 1}: it has taken another file's place. {remedy}"
        )
    return draw


def _check_own(path: Path, written: dict, settings: dict) -> None:
    """Refuse a file of another run; what it does not say, its record has said."""
    if different := differences(settings | written, settings):
        raise ValueError(
            f"The checkpoint {path} belongs to another run: {different}. Repeat its settings, give "
            f"this run another name (--name), or delete its record and {path.parent} to run anew."
        )


def write_drawn(path: Path, small: nn.Module, notes: dict, settings: dict) -> None:
    """Keep a drawn ticket before its training, and what there is to say of the draw."""
    write_tensors(path, {"settings": settings, "notes": notes, "network": pruned_state(small)})


def read_drawn(
    path: Path, make_dense: Callable[[], nn.Module], settings: dict
) -> tuple[nn.Module, dict] | None:
    """A ticket that `write_drawn` kept, on the CPU, and its notes; None if it is of another run.

    Raises
    ------
    DamagedFile
        The file is damaged, or holds what cannot be.
    """
    if not path.exists():
        return None
    remedy = "Delete it to draw the ticket anew."
    drawn = read_tensors(path, "drawn ticket", remedy)
    if not isinstance(drawn, dict) or drawn.get("settings") != settings:
        return None
    if problems := list(mismatches(drawn, {"network": dict, "notes": _NOTES}, "ticket")):
        raise DamagedFile(f"The drawn ticket {path} cannot be: {problems[0]}. {remedy}")
    return from_pruned_state(make_dense, drawn["network"], path).cpu(), drawn["notes"]
