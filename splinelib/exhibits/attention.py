"""A walk from one image to another, and the map with held factors at places of it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import plotting
from ..models.vit import VisionTransformer
from ..network.affine import affine_map
from ..network.modes import evaluating
from ..plotting import widgets

STEPS, PLACES = 201, 7


@dataclass(frozen=True)
class Walk:
    """A straight walk between two images, and what a network says on the way.

    Attributes
    ----------
    classes : (int, int)
    along : ndarray, shape (T,)
        From 0, the first image, to 1.
    margin : ndarray, shape (T,)
        Logit of the second class less that of the first.
    places : ndarray of int, shape (P,)
        Where the maps are taken.
    held, true : ndarray, shape (P,)
        Slope of the margin there: of the map with held factors, and of the network.
    images : ndarray, shape (P, H, W)
    looks : ndarray, shape (P, S, S)
        How much the class token of the last block reads of each patch, mean over heads.
    """

    classes: tuple[int, int]
    along: np.ndarray
    margin: np.ndarray
    places: np.ndarray
    held: np.ndarray
    true: np.ndarray
    images: np.ndarray
    looks: np.ndarray


def walk(model: VisionTransformer, first: Tensor, last: Tensor, classes: tuple[int, int]) -> Walk:
    """Walk from one image (1, H, W) to another in `STEPS` steps, and stop at `PLACES` of them."""
    along = torch.linspace(0, 1, STEPS)
    images = torch.stack([first + (last - first) * share for share in along.tolist()])
    places = np.linspace(0, STEPS - 1, PLACES).round().astype(int)
    direction = (last - first).flatten()
    one, other = classes

    def margin(inputs: Tensor) -> Tensor:
        logits = model(inputs)
        return logits[:, other] - logits[:, one]

    with evaluating(model):
        with torch.no_grad():
            margins = margin(images)
        maps = [affine_map(model, images[place], smooth="freeze")[0] for place in places]
        slopes = [
            torch.autograd.functional.jacobian(margin, images[[place]]).flatten() @ direction
            for place in places
        ]
        looks = [class_attention(model, images[place]) for place in places]
    held = [float((A[other] - A[one]) @ direction) for A in maps]
    return Walk(
        classes,
        along.numpy(),
        margins.numpy(),
        places,
        np.array(held),
        np.array([float(slope) for slope in slopes]),
        images[places][:, 0].numpy(),
        torch.stack(looks).numpy(),
    )


@torch.no_grad()
def class_attention(model: VisionTransformer, image: Tensor) -> Tensor:
    """How much the class token of the last block reads of each patch, (S, S), mean over heads."""
    read = []
    block = model.blocks[-1].attention
    hook = block.register_forward_pre_hook(lambda module, args: read.append(module.weights(*args)))
    try:
        model(image[None])
    finally:
        hook.remove()
    weights = read[0][0, :, 0, 1:].mean(0)
    return weights.unflatten(0, (round(len(weights) ** 0.5), -1))


def stroll(walk: Walk):
    """The margin along a walk with the held map's line and the tangent; a slider walks."""
    one, other = walk.classes
    low, high = walk.margin.min(), walk.margin.max()
    room = 0.3 * (high - low)

    def lines(at: int):
        place = walk.places[at]
        here = walk.along - walk.along[place]

        def draw(ax, palette):
            ax.axhline(0, color=palette.axis, linewidth=0.8)
            ax.plot(walk.along, walk.margin, color=palette.ink, label="the network")
            ends = (("factors held", walk.held[at], palette.kept, "-"),)
            ends += (("tangent", walk.true[at], palette.pruned, "--"),)
            for name, slope, colour, style in ends:
                ax.plot(walk.along, walk.margin[place] + slope * here, style, color=colour)
                ax.plot([], [], style, color=colour, label=name)
            ax.plot(walk.along[place], walk.margin[place], "o", color=palette.boundary)
            ax.set(ylim=(low - room, high + room))
            ax.set(xlabel="way from the first image to the last", ylabel=f"{other} over {one}")
            plotting.legend(ax)

        return plotting.figure(draw, told(at), size=(4.8, 3.8))

    def pictures(at: int):
        look = np.kron(walk.looks[at], np.ones((2, 2)))
        image = walk.images[at] - walk.images[at].min()
        shown = np.stack([image / image.max(), look / walk.looks.max()])
        titles = ["the image", "what it reads"]
        alt = f"The image on the way, and the patches that the class token reads: {where(at)}."
        return plotting.images(shown, alt, titles=titles, columns=1)

    def where(at: int) -> str:
        row, column = np.unravel_index(walk.looks[at].argmax(), walk.looks[at].shape)
        share = walk.looks[at].max()
        return f"most of the patch in row {row + 1}, column {column + 1}, {share:.0%}"

    def told(at: int) -> str:
        return (
            f"{walk.along[walk.places[at]]:.0%} of the way: {other} over {one} is "
            f"{walk.margin[walk.places[at]]:+.1f}; slope with factors held {walk.held[at]:+.1f}, "
            f"of the network {walk.true[at]:+.1f}."
        )

    def slopes(at: int) -> str:
        place = walk.along[walk.places[at]]
        return f"{place:.0%}; slopes: held {walk.held[at]:+.1f}, tangent {walk.true[at]:+.1f}"

    return widgets.scrub(
        lambda at: plotting.beside(pictures(at), lines(at)),
        list(range(len(walk.places))),
        label="place on the way",
        alt=told,
        format=slopes,
        caption="First the image, and below it what the class is read from in the last block: the "
        "brighter a patch, the more of it. Then the logit of "
        f"{other} less that of {one} along the way.",
        start=len(walk.places) // 2,
    )
