"""What decides a run: the paper's protocol, and the tickets to draw."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from .. import pruning
from ..data.loading import public_name
from ..models.building import NETWORKS
from ..pruning.choices import COMPENSATIONS, SCOPES, check_ratio
from ..text import check_choice
from ..training.recipe import Recipe

# What decides when a ticket is drawn -> what stands before its criterion in text.
RULES = {"codes": "", "masks": "masks:", "end": "lottery:"}


def _option(default, text: str, source: str):
    return field(default=default, metadata={"help": text, "source": source})


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a run, but for its tickets.

    The defaults are the paper's, arXiv 2101.02338, for CIFAR: 160 epochs of SGD, learning rate
    0.1 divided by 10 at epochs 80 and 120. Batch size, momentum, weight decay, threshold and
    lookback are those of its released code (GATECH-EIC/Spline-EB); the ticket goes on with
    inherited weights to the end of the schedule, as in Early-Bird Tickets (arXiv 1909.11957). A
    shorter run keeps the shape of the schedule: the rate falls at half and three quarters.

    Attributes
    ----------
    network, dataset, width
        As for `models.build` and `data.load`.
    epochs, lr, batch_size, momentum, weight_decay, l1, seed
        As for `training.train`. Early-Bird Tickets trains with batches of 256 and l1 = 1e-4.
    threshold, lookback
        As for `EarlyBird`.
    probe : int
        Training images whose region codes are watched. The released code watches a canvas of two
        *test* images instead; a result that is reported on the test set should not depend on them.
    latest_draw : int or None
        Epoch after which tickets are drawn if the early bird has not come by then, counted
        from 0. None: the last epoch before the rate first falls. Ours, for short runs.
    calibration : int
        Training images for criteria and compensation that look at data. Ours.
    validation : float
        Share of the training images held out for choices; 0 to train on all, as the paper does.
    train_size, test_size : int or None
        Use so many images only, drawn with seed 0; None for all.
    image_size : int
        Side in pixels of the images of a folder, as for `data.load`; 64 or 224 for ImageNet.
    """

    network: str = _option("vgg16", f"{', '.join(NETWORKS)} or preresnetDEPTH", "the paper")
    dataset: str = _option(
        "digits",
        "digits, cifar10, cifar100 or folder:PATH",
        "the paper has CIFAR-10; digits need no download",
    )
    width: float = _option(1.0, "multiplier of every layer's channels", "1 is the paper's")
    epochs: int = _option(160, "epochs of the whole schedule", "the paper")
    lr: float = _option(0.1, "learning rate, divided by 10 at half and three quarters", "the paper")
    batch_size: int = _option(
        128, "training images per step", "released code; Early-Bird Tickets: 256"
    )
    momentum: float = _option(0.9, "momentum of SGD", "released code")
    weight_decay: float = _option(1e-4, "weight decay on every parameter", "released code")
    l1: float = _option(
        0.0,
        "L1 penalty on batch-norm scales",
        "released code, which never adds it; Early-Bird Tickets: 1e-4",
    )
    threshold: float = _option(
        0.16, "early bird: largest distance that counts as settled", "released code"
    )
    lookback: int = _option(3, "early bird: earlier epochs that must all be close", "released code")
    probe: int = _option(
        256,
        "training images whose region codes are watched",
        "ours; released code: a canvas of two test images",
    )
    latest_draw: int | None = _option(
        None, "epoch (from 0) after which to draw at the latest", "ours, for runs of few epochs"
    )
    calibration: int = _option(2048, "training images for scoring and compensation", "ours")
    validation: float = _option(
        0.0, "share of the training images to hold out", "ours; the paper trains on all"
    )
    train_size: int | None = _option(None, "use so many training images only", "ours, for trials")
    test_size: int | None = _option(None, "use so many test images only", "ours, for trials")
    image_size: int = _option(
        64, "side in pixels of a folder's images; other sets have their own", "ours"
    )
    seed: int = _option(0, "seed of weights, order and augmentation", "ours")

    def __post_init__(self):
        if self.epochs < 2:
            raise ValueError(
                f"epochs is at least 2, one before the draw and one after, not {self.epochs}."
            )
        if self.latest_draw is not None and not 0 <= self.latest_draw < self.epochs - 1:
            raise ValueError(
                f"latest_draw lies in 0 .. {self.epochs - 2}, so that a ticket has an epoch left, "
                f"not {self.latest_draw}."
            )
        for name in ("probe", "calibration"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of images, at least 1.")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is a share in [0, 1), not {self.validation}.")
        self.recipe()  # says what is wrong with its settings before any work

    @property
    def last_draw(self) -> int:
        """`latest_draw`, or what it stands for."""
        return -(-self.epochs // 2) - 1 if self.latest_draw is None else self.latest_draw

    def recipe(self, start: int = 0) -> Recipe:
        """How its networks are trained, from an epoch on."""
        settings = ("epochs", "lr", "batch_size", "momentum", "weight_decay", "l1", "seed")
        return Recipe(start=start, **{name: getattr(self, name) for name in settings})

    @property
    def name(self) -> str:
        """Name of the record: what people ask for first, then what is not the default."""
        parts = [public_name(self.dataset), self.network, f"w{self.width:g}", f"e{self.epochs}"]
        named = {"dataset", "network", "width", "epochs", "train_size", "test_size", "seed"}
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name not in named and value != option.default:
                parts.append(f"{option.name}{value:g}")
        if self.train_size is not None:
            parts.append(f"n{self.train_size}")
        return re.sub(r"[^\w.-]+", "-", "-".join([*parts, f"s{self.seed}"]))


@dataclass(frozen=True)
class Ticket:
    """One pruned network to draw: which criterion, how much to remove, how to make up for it.

    Attributes
    ----------
    criterion : str
        A name in `pruning.CRITERIA`, of the process that draws the ticket: the order in which units
        go within a layer.
    ratio : float
        Share of the units to remove, in [0, 1).
    scope : str
        ``"global"``, ``"layerwise"`` or ``"residual"``: how much each layer gives, as for
        `pruning.prune`.
    compensate : False, "merge", "fold", "refit" or "distil"
        What makes up for the units that went, as for `pruning.prune`.
    rule : str
        What decides when it is drawn. ``"codes"``: the early bird of the region codes.
        ``"masks"``: the rule of Early-Bird Tickets (You et al., ICLR 2020) on the global masks of
        this criterion at this ratio; with the criterion ``"bn"`` it is their method.
        ``"end"``: the end of the dense training, after which what is left trains from its initial
        weights on; the lottery ticket, one shot (Frankle and Carbin, ICLR 2019).

    Examples
    --------
    >>> Ticket.parse("spline@residual+refit", 0.5)
    Ticket(criterion='spline', ratio=0.5, scope='residual', compensate='refit', rule='codes')
    >>> Ticket.parse("masks:bn", 0.5).rule, Ticket.parse("lottery:magnitude", 0.5).rule
    ('masks', 'end')
    """

    criterion: str
    ratio: float
    scope: str = "global"
    compensate: bool | str = False
    rule: str = "codes"

    def __post_init__(self):
        # Records may hold criteria that this process does not know; see `check_criteria`.
        check_ratio(self.ratio)
        check_choice("scope", self.scope, SCOPES)
        check_choice("compensation", self.compensate, COMPENSATIONS)
        check_choice("rule", self.rule, RULES)
        if self.lottery and self.compensate:
            raise ValueError(
                "A lottery ticket starts from its initial weights: there is nothing to compensate. "
                f"Leave out +{self.compensate}."
            )

    @classmethod
    def parse(cls, text: str, ratio: float) -> "Ticket":
        """From ``"criterion@scope+compensate"``, of which all but the criterion may be left out.

        ``"masks:"`` before it has the criterion's own masks decide when it is drawn, and
        ``"lottery:"`` makes a lottery ticket.
        """
        rule = next(rule for rule in reversed(RULES) if text.startswith(RULES[rule]))
        rest, _, compensate = text.removeprefix(RULES[rule]).partition("+")
        criterion, _, scope = rest.partition("@")
        return cls(criterion, float(ratio), scope or "global", compensate or False, rule)

    @classmethod
    def of(cls, entry: dict) -> "Ticket":
        """The ticket that an entry of a record is the result of."""
        settings = (entry[key] for key in ("criterion", "ratio", "scope", "compensate"))
        return cls(*settings, entry.get("rule", "codes"))  # one-shot curves have no rule

    @property
    def lottery(self) -> bool:
        """Whether it is trained from its initial weights."""
        return self.rule == "end"

    @property
    def method(self) -> str:
        """What `parse` reads: ``"spline"``, ``"spline@residual+refit"``, ..."""
        scope = "" if self.scope == "global" else f"@{self.scope}"
        compensate = f"+{self.compensate}" if self.compensate else ""
        return f"{RULES[self.rule]}{self.criterion}{scope}{compensate}"

    @property
    def name(self) -> str:
        """Method and ratio, as in ``"spline+refit-0.5"``; part of file names.

        Raises
        ------
        ValueError
            The criterion has a name that no file can have; see `check_name`.
        """
        check_name("criterion", self.criterion)
        return f"{self.method}-{self.ratio:g}".replace(":", "-")


def asked_for(criteria: Sequence[str], ratios: Sequence[float]) -> list[Ticket]:
    """The tickets of every criterion at every ratio, as `Ticket.parse` reads them, each once.

    Raises
    ------
    ValueError
        A part of one is not known or out of range.
    """
    tickets = each_once(Ticket.parse(text, ratio) for text in criteria for ratio in ratios)
    check_criteria(tickets)
    return tickets


def each_once(tickets: Iterable[Ticket]) -> list[Ticket]:
    """Tickets without those that are there already, as their names say it.

    Examples
    --------
    >>> [ticket.name for ticket in each_once([Ticket("bn", 0.5), Ticket("bn", 0.50000001)])]
    ['bn-0.5']
    """
    named: dict[tuple[str, str], Ticket] = {}
    for ticket in tickets:
        named.setdefault((ticket.method, f"{ticket.ratio:g}"), ticket)
    return list(named.values())


def check_criteria(tickets: Iterable[Ticket]) -> None:
    """Refuse tickets of a criterion that this process does not know, with the list of them."""
    for ticket in tickets:
        check_choice("criterion", ticket.criterion, pruning.CRITERIA)


def check_name(what: str, name: str) -> None:
    """Refuse a name that is not one part of a path, as it becomes one of a file's name.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_name("record", "digits-mlp-w0.5-e4-s0")
    """
    if not (isinstance(name, str) and re.fullmatch(r"(?!\.)[\w.+@-]{1,200}", name)):
        raise ValueError(
            f"{name!r} cannot be the name of a {what}: it becomes the name of a file, so it has "
            "letters, digits and . _ + @ - alone, at most 200, and begins with no dot."
        )


def command(protocol: Protocol, tickets: Sequence[Ticket], name: str | None = None) -> str:
    """The command line that makes a record with these tickets."""
    always = ("network", "dataset", "width", "epochs", "seed")
    words = ["python", "-m", "splinelib", "run"]
    for option in fields(Protocol):
        value = getattr(protocol, option.name)
        if option.name in always or value != option.default:
            shown = public_name(value) if option.name == "dataset" else value
            words += [f"--{option.name.replace('_', '-')}", f"{shown}"]
    words += ["--criteria", *dict.fromkeys(ticket.method for ticket in tickets)]
    if tickets:
        words += ["--ratios", *dict.fromkeys(f"{ticket.ratio:g}" for ticket in tickets)]
    if name is not None and name != protocol.name:
        words += ["--name", name]
    return shlex.join(words)
