"""Everything that decides the result of a training, in one place.

The defaults are the paper's: SGD at 0.1 with momentum 0.9 and weight decay 1e-4, batches of 128,
the rate divided by ten at half and at three quarters of the epochs (80 and 120 of 160).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real

from ..randomness import checked_seed


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: schedule, SGD, augmentation, seed.

    Attributes
    ----------
    epochs : int
        Last epoch of the schedule.
    lr, momentum, weight_decay, batch_size
        Of SGD. Weight decay acts on every parameter. The batch is that of the whole step, however
        many processes share it.
    milestones : sequence of int, optional
        Epochs from which the rate is divided by a further ten. Default: half and three quarters
        of `epochs`.
    l1 : float
        Factor of the L1 penalty on batch-norm scales (network slimming).
    augment : bool
        Whether training images are cropped and mirrored at random.
    seed : int
        Seed of order and augmentation.
    start : int
        First epoch: a ticket drawn after epoch t - 1 goes on from epoch t of the same schedule.

    Raises
    ------
    ValueError
        A setting is out of range.
    TypeError
        A setting is no number, or no whole one where it counts something. NumPy's are taken, and
        kept as Python's.

    Examples
    --------
    >>> recipe = Recipe(epochs=160)
    >>> recipe.milestones, [f"{recipe.rate(epoch):g}" for epoch in (79, 80, 120)]
    ((80, 120), ['0.1', '0.01', '0.001'])
    """

    epochs: int
    lr: float = 0.1
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 1e-4
    milestones: Sequence[int] | None = None
    l1: float = 0.0
    augment: bool = True
    seed: int = 0
    start: int = 0

    def __post_init__(self):
        object.__setattr__(self, "seed", checked_seed(self.seed))
        for name in ("epochs", "batch_size", "start"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        for name in ("lr", "momentum", "weight_decay", "l1"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.epochs < 1 or not 0 <= self.start <= self.epochs:
            raise ValueError(
                f"epochs is at least 1 and start lies in 0 .. epochs; got epochs={self.epochs}, "
                f"start={self.start}."
            )
        if not 2 <= self.batch_size < 2**31:
            raise ValueError(
                f"batch_size is at least 2 for batch norm, and less than 2**31, not "
                f"{self.batch_size}."
            )
        for name in ("lr", "momentum", "weight_decay", "l1"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is a finite number, at least 0, not {value}.")
        if self.milestones is None:
            # Rounded up, so that a very short run still has a part at the full rate.
            milestones = -(-self.epochs // 2), -(-self.epochs * 3 // 4)
        else:
            if not isinstance(self.milestones, Iterable):
                raise TypeError(f"milestones are several epochs, not {self.milestones!r}.")
            milestones = tuple(_whole("a milestone", epoch) for epoch in self.milestones)
        object.__setattr__(self, "milestones", milestones)

    @classmethod
    def of(cls, recipe: "Recipe | None", settings: dict) -> "Recipe":
        """A recipe with some settings changed, or one of these settings alone.

        Raises
        ------
        TypeError
            A setting that there is not, no ``epochs``, or something else in place of a recipe.
        """
        known = [setting.name for setting in fields(cls)]
        if unknown := [name for name in settings if name not in known]:
            raise TypeError(f"There is no setting {unknown[0]!r}. Known: {', '.join(known)}.")
        if recipe is None:
            if "epochs" not in settings:
                raise TypeError("Training needs epochs=, the last epoch of the schedule.")
            return cls(**settings)
        if not isinstance(recipe, cls):
            raise TypeError(
                f"recipe is a Recipe, not {type(recipe).__name__}: give epochs= by name."
            )
        if recipe.milestones == cls(recipe.epochs).milestones:  # they follow the epochs
            settings = {"milestones": None} | settings
        return replace(recipe, **settings)

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        return self.lr * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)

    def epoch_seed(self, epoch: int) -> int:
        """Seed of the order and the crops of an epoch."""
        seed = self.seed * 1_000_003 + epoch
        return (seed + 2**63) % 2**64 - 2**63  # of 64 bits, whatever the seed

    def state_dict(self) -> dict:
        """The settings as plain values, for a checkpoint."""
        return asdict(self) | {"milestones": list(self.milestones)}


def _whole(name: str, value: object) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} is a whole number, not {value!r}.")
    return int(value)


def _number(name: str, value: object) -> int | float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is a number, not {value!r}.")
    return value if type(value) in (int, float) else float(value)
