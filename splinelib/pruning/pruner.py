"""One network pruned in one way (`prune`), or in many (`Pruner`)."""

import functools

from torch import Tensor, nn

from ..channels.cuts import Cut, cut_by
from ..channels.layout import Layout
from ..errors import held_back, warn
from ..network.surroundings import undisturbed
from ..scores.context import Context
from ..scores.criteria import CRITERIA, facts, lsq
from ..text import check_choice
from .choices import SCOPES, Way, check_needs, checked_request
from .compensation import DATALESS, REFITTING
from .masking import compensated, without_compensation
from .merging import readers_of_units
from .scoring import Scores, context_for, group_scores, residual_scores
from .selection import Masks, select


def prune(
    model: nn.Module,
    ratio: float,
    criterion: str | None = None,
    scope: str | None = None,
    data: Tensor | None = None,
    example: Tensor | None = None,
    compensate: bool | str | None = None,
    seed: int = 0,
    labels: Tensor | None = None,
    round_to: int = 1,
) -> nn.Module:
    """Score, select, shrink and compensate, in the best way known unless another is asked for.

    With calibration inputs that is ``"lsq"``, ``"residual"`` and ``"refit"``, and ``"distil"`` in
    place of the last if their labels say that the network is a classifier; with nothing but an
    example, whose values are not looked at, ``"bend"``, ``"global"`` and ``"merge"``. On digits
    MLPs and on a quarter-width VGG-16 for CIFAR-10 these lost least of the ways that
    ``benchmarks/compensation.py`` compares. A criterion that is named is judged as it is, with one
    threshold and nothing compensated, unless these are named too.

    The groups of units are tried out as `find_groups` does it. Where there are no data and nothing
    is compensated, that would take longer than all else, and it is the one network asked for that
    is tried out: layer by layer it has to say what the masked one says. If it does not, the groups
    are tried out after all. So this may take units from a group that a `Pruner`, which has to be
    right whatever else is asked for, leaves whole.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    ratio : float in [0, 1)
        Share of all units that goes.
    criterion : str, optional
        A name in `CRITERIA`.
    scope : {"global", "layerwise", "residual"}, optional
        As in `select`; ``"residual"`` keeps the criterion's order within each group and takes
        from each so many units that the sum of the residuals is least (`common_residual`),
        which needs data.
    data : Tensor, shape (N, ...), optional
        Calibration inputs: training inputs, a thousand or two.
    example : Tensor, shape (1, ...), optional
        An input to trace the model with; ``data[:1]`` if it is not given.
    compensate : {False, True, "merge", "fold", "refit", "distil"}, optional
        ``"merge"`` needs no data: dropped channels are merged into kept ones by what the
        network's own weights imply of them, and data, if there are any, only renew the
        statistics of batch norms. The others fit on the data, without labels: ``"fold"`` folds
        dropped channels into kept ones; ``"refit"`` solves the kernels anew by least squares,
        layer after layer; ``"distil"`` does so and then matches the class probabilities of a
        classifier, which pays where much is removed. True is the best known, ``"refit"`` with
        data and ``"merge"`` without. With data, a layer that a fit would take farther from what
        it said is left as it was cut, and so, with a warning, is one that does not compute its
        weight times its inputs; and the network's error on the data is no larger than without
        compensation, or less of it is done, with a warning. (Where 128 inputs from the first to
        the last show a fit to have half of that error or less, the others are not asked.) Without
        data none of this can be checked, and what the weights imply is for inputs that are
        normalised: uncorrelated and of variance 1.
    seed : int
    labels : Tensor, shape (N,), int64, optional
        Classes of the calibration inputs, for criteria that need them.
    round_to : int
        As in `select`: 8 or 16 for speed.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        As for `score` and `select`; also if compensation is asked for without data.
    PruningError
        As for `find_groups`; also, where one network is tried out, if that does not do what masking
        its units does, though without others it does.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> sl.prune(net, 0.5, data=torch.randn(100, 2))[0]
    Linear(in_features=2, out_features=4, bias=True)
    >>> sl.prune(net, 0.25, example=torch.zeros(1, 2))[0]  # without any data
    Linear(in_features=2, out_features=6, bias=True)
    """
    way = checked_request(ratio, criterion, scope, compensate, round_to, data, labels)
    if data is None and not way.compensate:
        return _one_network(model, example, seed, labels, way, ratio, round_to)
    pruner = Pruner(model, data, example, seed, labels)
    return pruner.prune(ratio, criterion, scope, compensate, round_to)


@undisturbed("model")
def _one_network(
    model: nn.Module,
    example: Tensor | None,
    seed: int,
    labels: Tensor | None,
    way: Way,
    ratio: float,
    round_to: int,
) -> nn.Module:
    """`prune` without data and compensation.

    What is tried out is the very network that is asked for, if that does what masking does, and
    not a layout for all that could be.
    """
    scores: dict[Context, Scores] = {}
    told: dict[Context, list[str]] = {}
    cuts: dict[Context, Cut] = {}

    def masks(context: Context) -> Masks:
        if context not in scores:  # of a criterion that draws by chance only one is right
            scores[context] = group_scores(context, way.criterion)
        return select(scores[context], ratio, way.scope, round_to)

    def asked(context: Context) -> Cut:
        with held_back() as told[context]:  # groups that a trial refuses are none to tell of
            cuts[context] = cut = cut_by(context.model, context.layout, masks(context))
        return cut

    context = context_for(model, None, example, seed, labels, asked=asked)
    for message in told.get(context, ()):
        warn(message)
    if (cut := cuts.get(context)) is None:
        cut = cut_by(context.model, context.layout, masks(context))
    return without_compensation(context.model, cut)


class Pruner:
    """One network, pruned in many ways: what these share is measured once.

    The network is traced once; scores are kept; and what the dense network does on the
    calibration inputs is noted in one pass, for the criteria that look at it as for every refit
    after it (a second, if the first criterion that looks comes after a refit). `prune` does the
    same for one way.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is. It should not change while the pruner is in use.
    data, example, seed, labels
        As for `prune`.

    Attributes
    ----------
    layout : Layout
        The groups of units that go together.

    Raises
    ------
    ValueError, PruningError
        As for `score`.

    Notes
    -----
    For a compensation by ``"refit"`` or ``"distil"`` the outputs of every layer are held at the
    positions that are fitted, 16,384 and more for each: 300 MB for VGG-16 on CIFAR-10.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> pruner = sl.Pruner(net, data=torch.randn(100, 2))
    >>> [pruner.prune(ratio, "lsq", compensate="refit")[0].out_features for ratio in (0.25, 0.5)]
    [6, 4]
    """

    @undisturbed("model")
    def __init__(
        self,
        model: nn.Module,
        data: Tensor | None = None,
        example: Tensor | None = None,
        seed: int = 0,
        labels: Tensor | None = None,
    ):
        self._context = context_for(model, data, example, seed, labels)
        self._scores: dict[tuple[str, bool], Scores] = {}

    @property
    def layout(self) -> Layout:
        return self._context.layout

    @functools.cached_property
    def _can_merge(self) -> bool:
        context = self._context
        readers = readers_of_units(context.model, context.layout)
        return any(name in context.implied_reads for name in readers)

    @undisturbed()
    def scores(self, criterion: str = "spline", scope: str = "global") -> Scores:
        """As `score`; for the scope ``"residual"`` brought to a `common_residual`.

        Raises
        ------
        ValueError
            As for `score`; for an unknown scope.
        """
        check_choice("criterion", criterion, CRITERIA)
        check_choice("scope", scope, SCOPES)
        check_needs(criterion, self._context.data, self._context.labels)
        key = criterion, scope == "residual"
        if key not in self._scores:
            if scope != "residual":
                scores = group_scores(self._context, criterion)
            elif CRITERIA[criterion] is lsq:
                scores = self.scores(criterion)  # which are prices of that residual already
            else:
                scores = residual_scores(self._context, self.scores(criterion))
            self._scores[key] = scores
        return self._scores[key]

    @undisturbed()
    def prune(
        self,
        ratio: float,
        criterion: str | None = None,
        scope: str | None = None,
        compensate: bool | str | None = None,
        round_to: int = 1,
    ) -> nn.Module:
        """Select, shrink and compensate; everything as for the function `prune`."""
        context, left_out = self._context, compensate is None
        criterion, scope, compensate = checked_request(
            ratio, criterion, scope, compensate, round_to, context.data, context.labels
        )
        if left_out and compensate == "merge" and not self._can_merge:
            warn(
                "what the layers of this network read cannot be followed without inputs: nothing "
                "takes over what is dropped. Pass data=, for instance 1,024 training inputs."
            )
            compensate = False
        refits = compensate in REFITTING
        if (criterion, scope == "residual") not in self._scores:
            reads = scope == "residual" or facts(CRITERIA[criterion]).needs_readers
            context.note(readers=reads, outputs=refits)
        scores = self.scores(criterion, scope)
        masks = select(scores, ratio, "layerwise" if scope == "layerwise" else "global", round_to)
        known = {}
        if refits:
            known = {"outputs": context.outputs(), "answers": context.answers()}
        elif compensate in DATALESS:
            known["reads"] = context.implied_reads
        cut = cut_by(context.model, context.layout, masks)
        given = context.model, context.layout, cut, context.data, compensate, context.seed
        return compensated(*given, **known)
