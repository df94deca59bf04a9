"""Whatever the caller's modes, results are the same; whatever happens, the modes are as before."""

import contextlib
import sys
import threading
from collections.abc import Callable

import pytest
import torch
import torch.overrides
from interrupted import interrupted
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

import splinelib as sl
from splinelib import rivals
from splinelib.bounds import found_change, unit_bounds
from splinelib.network.surroundings import undisturbed
from splinelib.training import evaluate


def make() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 16, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    )
    with torch.no_grad():
        model(torch.randn(64, 1, 4, 4))
    return model


def images(rows: int = 24) -> torch.Tensor:
    return torch.randn(rows, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def flat() -> nn.Module:
    return sl.models.mlp([2, 6, 6, 2], seed=0)


# Made outside of all surroundings.
IMAGES, ONE = images(), images(1)[0]
FLAT_BOX = torch.tensor([[0.5, 0.25]], dtype=torch.float32)
OTHER, OTHER_FLAT = make(), sl.models.mlp([2, 6, 6, 2], seed=1)
with torch.no_grad():
    OTHER[0].weight.neg_()


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [*model.state_dict().values()]


LABELS = torch.arange(24) % 3
MASKS = sl.select(sl.score(make(), "magnitude", example=IMAGES), 0.5, "layerwise")

# What is public and runs a model, and what of its result is compared.
CALLS: dict[str, tuple[Callable, Callable]] = {
    "codes": (make, lambda m: [*sl.region_codes(m, IMAGES, batch_size=8).packed.values()]),
    "layers": (make, lambda m: [layer.name for layer in sl.spline_layers(m, IMAGES)]),
    "map": (make, lambda m: [*sl.affine_map(m, ONE)]),
    "partition": (flat, lambda m: [sl.partition(m).vertices]),
    "segment": (flat, lambda m: [sl.segment(m, -FLAT_BOX[0], FLAT_BOX[0]).breakpoints]),
    "difference": (
        flat,
        lambda m: [sl.difference(m, OTHER_FLAT).largest],
    ),
    "bound": (flat, lambda m: [sl.pruning_bound(m, OTHER_FLAT, (-FLAT_BOX, FLAT_BOX)).high]),
    "units": (flat, lambda m: [unit_bounds(m, (-FLAT_BOX, FLAT_BOX))[0].high]),
    "search": (flat, lambda m: [found_change(m, OTHER_FLAT, (-FLAT_BOX, FLAT_BOX)).high]),
    "score": (make, lambda m: [*sl.score(m, "lsq", data=IMAGES).values()]),
    "random": (make, lambda m: [*sl.score(m, "random", example=IMAGES).values()]),
    "bend": (make, lambda m: [*sl.score(m, "bend", example=IMAGES).values()]),
    "snip": (make, lambda m: [*sl.score(m, "snip", data=IMAGES, labels=LABELS).values()]),
    "prune": (make, lambda m: weights(sl.prune(m, 0.5, data=IMAGES))),
    "merge": (make, lambda m: weights(sl.prune(m, 0.5, example=IMAGES))),
    "distil": (make, lambda m: weights(sl.prune(m, 0.5, data=IMAGES, labels=LABELS))),
    "fold": (make, lambda m: weights(sl.prune(m, 0.5, "spline", data=IMAGES, compensate="fold"))),
    "folding": (make, lambda m: weights(rivals.folding(m, 0.5, IMAGES))),
    "neuron merging": (make, lambda m: weights(rivals.neuron_merging(m, MASKS))),
    "intra-fusion": (make, lambda m: weights(rivals.intra_fusion(m, MASKS))),
    "gram": (make, lambda m: weights(rivals.gram(m, MASKS, IMAGES))),
    "renewed": (make, lambda m: weights(rivals.renewed_statistics(m, IMAGES))),
    "evaluate": (make, lambda m: [evaluate(m, IMAGES, LABELS)]),
    "early bird": (make, lambda m: watched(m)),
    "train": (make, lambda m: weights(trained(m))),
}


def watched(model: nn.Module) -> list[float]:
    detector = sl.EarlyBird()
    for seed in range(2):
        detector.update(sl.region_codes(model if seed else OTHER, IMAGES))
    return [detector.matrix[1, 0]]


def trained(model: nn.Module) -> nn.Module:
    data = IMAGES, LABELS
    return sl.training.train(model, data, epochs=1, batch_size=8, seed=0, progress=False).model


def same(found: list, expected: list) -> bool:
    return len(found) == len(expected) and all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b)) if not isinstance(a, str) else a == b
        for a, b in zip(found, expected, strict=True)
    )


every_call = pytest.mark.parametrize("name", CALLS)


@contextlib.contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "float64": default_dtype,
    "meta": lambda: torch.device("meta"),
}


@every_call
@pytest.mark.parametrize("around", SURROUNDINGS)
def test_surroundings_change_no_result(name, around):
    build, call = CALLS[name]
    model = build()
    expected = call(model)
    with SURROUNDINGS[around]():
        found = call(model)
    assert same(found, expected)


def test_a_model_and_data_of_inference_mode():
    expected = weights(sl.prune(make(), 0.5, data=IMAGES))
    with torch.inference_mode():
        model, data = make(), images()
        assert same(weights(sl.prune(model, 0.5, data=data)), expected)
        assert len(sl.score(model, "snip", data=data, labels=LABELS)) == 2


MADE = {
    "toys": lambda: [sl.data.toy(name, 20)[0] for name in ("moons", "spiral", "cross")],
    "images": lambda: [DIGITS.to_float(DIGITS.train_images)],
    "mlp": lambda: weights(sl.models.mlp([2, 6, 2], seed=3)),
    "vgg16": lambda: weights(sl.models.vgg16(width=0.1)),
    "preresnet": lambda: weights(sl.models.preresnet(20, width=0.2)),
    "resnet18": lambda: weights(sl.models.resnet18(width=0.1)),
    "trained": lambda: weights(
        sl.training.train(sl.models.build("mlp", DIGITS), DIGITS, epochs=1, progress=False).model
    ),
}
DIGITS = sl.data.load("digits").subset(train=64)


@pytest.mark.parametrize("name", MADE)
def test_the_default_dtype_changes_nothing_that_is_made(name):
    expected = MADE[name]()
    with default_dtype():
        found = MADE[name]()
    assert [t.dtype for t in found] == [t.dtype for t in expected]
    assert same(found, expected)


def test_a_network_is_made_on_the_default_device():
    with torch.device("meta"):
        assert all(p.is_meta for p in sl.models.mlp([2, 3, 2]).parameters())


WRITTEN = {
    "codes": lambda m, x: sl.region_codes(m, x, batch_size=8),
    "layers": lambda m, x: sl.spline_layers(m, x),
    "map": lambda m, x: sl.affine_map(m, x[0]),
    "evaluate": lambda m, x: evaluate(m, x, LABELS),
    "measure": lambda m, x: sl.training.measure(m, x, repeats=1),
    "memory": lambda m, x: sl.cost.footprint.peak_memory(m, x),
    "train": lambda m, x: sl.training.train(m, (x, LABELS), epochs=1, progress=False),
    "example": lambda m, x: sl.prune(m, 0.5, example=x),
    "prune": lambda m, x: sl.prune(m, 0.5, data=x),
    "distil": lambda m, x: sl.prune(m, 0.5, data=x, labels=LABELS),
    "fold": lambda m, x: sl.prune(m, 0.5, "lsq", data=x, compensate="fold"),
    "merge": lambda m, x: sl.prune(m, 0.5, "bend", data=x, compensate="merge"),
    **{
        f"score {name}": lambda m, x, name=name: sl.score(m, name, data=x, labels=LABELS)
        for name in sl.CRITERIA
    },
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_forward_that_works_in_place_does_not_change_the_callers_inputs(name):
    model, given = nn.Sequential(nn.ReLU(inplace=True), *make()), images()
    before = given.clone()
    WRITTEN[name](model, given)
    assert torch.equal(given, before)


def modes() -> tuple:
    """Torch's modes in this thread, and what else a run might leave behind."""
    depth = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return (
        torch.overrides._get_current_function_mode_stack(),
        _get_current_dispatch_mode_stack(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        depth,
    )


def left_on(model: nn.Module) -> list:
    """Modes, hooks and attributes of each module."""
    return [
        (m.training, {k: len(v) for k, v in vars(m).items() if "hooks" in k}, sorted(vars(m)))
        for m in model.modules()
    ]


@every_call
def test_an_interruption_leaves_nothing_behind(name):
    """A dozen lines of each; `test_interrupted_at_every_line` takes all of one call."""
    build, call = CALLS[name]
    model = build()
    call(model)  # caches are filled by then
    lines, before, there = interrupted(lambda: call(model), None), modes(), left_on(model)
    assert lines > 100
    for line in range(1, lines, max(1, lines // 12)):
        interrupted(lambda: call(model), line)
        assert modes() == before
        assert left_on(model) == there
    model.load_state_dict(build().state_dict())
    assert same(call(model), call(build()))


def test_interrupted_at_every_line():
    """Every line at which the small call can be interrupted."""
    model, inputs = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), torch.zeros(1, 2)
    before, there = modes(), left_on(model)

    def call(model):
        sl.region_codes(model, inputs)

    call(model)
    lines = interrupted(lambda: call(model), None)
    for line in range(1, lines + 1):
        interrupted(lambda: call(model), line)
        assert modes() == before
        assert left_on(model) == there
    assert len(sl.region_codes(model, inputs)) == 1


class Naming(nn.Module):
    """Code that calls the library within its own forward."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.other = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    def forward(self, x):
        sl.region_codes(self.other, x.detach())
        return torch.relu(self.linear(x))


def test_within_a_run_that_is_watched_a_call_is_refused():
    with pytest.raises(Exception, match=r"region_codes was called while splinelib watches a model"):
        sl.region_codes(Naming(), torch.zeros(2, 2))


def test_a_function_is_called_with_replicas_of_its_models():
    @undisturbed("model", "other")
    def call(x, model, other=None):
        return x, model, other

    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    assert call(1, first)[1] is not first
    x, one, two = call(2, other=second, model=first)
    assert (x, one.weight, two.weight) == (2, first.weight, second.weight)
    assert two is not second


# --- threads --------------------------------------------------------------------------------


def in_threads(work: Callable[[int], None], count: int = 4) -> None:
    """Run work(0), work(1), ... at once; raises what one of them raises."""
    failures, barrier = [], threading.Barrier(count)

    def run(index: int) -> None:
        barrier.wait()
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if failures:
        raise failures[0]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["codes", "partition", "score", "prune", "merge", "early bird"])
def test_four_threads_on_one_model(name, training):
    build, call = CALLS[name]
    model = build().train(training)
    expected, there = call(model), left_on(model)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    def work(_):
        for _ in range(3):
            assert same(call(model), expected)

    in_threads(work)
    assert left_on(model) == there
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


def test_another_thread_that_runs_the_model():
    model, inputs = make().eval(), IMAGES
    names, expected = list(sl.region_codes(model, inputs).layers), CALLS["codes"][1](model)

    def work(index):
        for _ in range(20):
            if index:
                model(inputs)
            else:
                codes = sl.region_codes(model, inputs, batch_size=8)
                assert list(codes.layers) == names
                assert same([*codes.packed.values()], expected)

    in_threads(work, 3)


def stance() -> str:
    import torch._dynamo.eval_frame

    return torch._dynamo.eval_frame._stance.stance


@pytest.mark.parametrize("compensate", ["merge", "fold", "refit", "distil"])
def test_a_compiled_network_is_pruned_as_what_was_compiled(compensate):
    """The compiler stumbled over the hooks of a refit, and compiled those of the others."""
    model = make().eval()
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(IMAGES)
    given = {"criterion": "lsq", "data": IMAGES, "compensate": compensate}
    one, other = sl.prune(model, 0.4, **given), sl.prune(compiled, 0.4, **given)
    for a, b in zip(weights(one), weights(other), strict=True):
        assert torch.equal(a, b)
    assert stance() == "default"


def test_compiled_networks_run_compiled_only_when_the_last_has_gone():
    """Each brought back what it had found: the first to go, or the last, left the other's."""
    import torch._dynamo

    second_in, first_out, found = threading.Event(), threading.Event(), []

    @undisturbed()
    def first():
        assert second_in.wait(60)

    @undisturbed()
    def second():
        second_in.set()
        assert first_out.wait(60)
        found.append(stance())

    @undisturbed(compiled=True)
    def neither():
        found.append(stance())

    with torch.compiler.set_stance("eager_on_recompile"):
        thread = threading.Thread(target=second)
        neither()
        other = threading.Thread(target=lambda: (first(), first_out.set()))
        other.start()
        thread.start()
        for each in (other, thread):
            each.join(60)
        found.append(stance())
    assert found == ["eager_on_recompile", "force_eager", "eager_on_recompile"]
    with pytest.raises(KeyboardInterrupt):
        undisturbed()(interrupting)()
    assert stance() == "default"


def interrupting():
    raise KeyboardInterrupt


@pytest.mark.parametrize("wrong", ["resnet18", [nn.Linear(1, 1)], nn.Linear])
def test_what_is_no_model_is_refused_by_its_name(wrong):
    @undisturbed("first", "second")
    def both(first, second=None):
        return first, second

    model = nn.Linear(1, 1)
    assert both(model)[1] is None
    with pytest.raises(TypeError, match=r"second should be a torch\.nn\.Module, not \w+"):
        both(model, second=wrong)
    with pytest.raises(TypeError, match=r"first should be a torch\.nn\.Module, not \w+"):
        both(wrong)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", [None, "resnet18"])
def test_what_is_no_model_is_refused_by_name(name, value):
    with pytest.raises(TypeError, match=r"torch.nn.Modules?, not (a )?(NoneType|str)"):
        CALLS[name][1](value)
