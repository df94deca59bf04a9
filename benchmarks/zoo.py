"""Which networks of others can be read and pruned, and does a smaller one compute what it should?

    python -m benchmarks.zoo                # all of them, with torch-pruning beside it
    python -m benchmarks.zoo --family video --csv out.csv
    python -m benchmarks.zoo --models resnet18 swin_t

Networks of torchvision, and the small odd ones of tests/strangers.py. Each is made without weights,
its batch norms are given statistics as after training, and it is looked at in a process of its own,
so that a hang or a lack of memory costs one row. 30 % of the units of each group are removed (by
norm, an even share), once as a mask and once for good: the largest difference between the two,
relative to the largest output, is the error. "refit" is how far the outputs of a refitted network
are from those of the dense one, as a share of how far they are without a refit, on inputs that the
refit did not see. The same share is removed by torch-pruning, the rival (magnitude, all layers but
those that make the outputs). "left" is the share of the parameters that stay. Seconds are those of
the processor, on one thread.

Of a detector the outputs are what its heads say of each place. What it makes of them, a choice of
boxes, falls this way or that by rounding.
"""

import argparse
import csv
import functools
import json
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

import splinelib as sl
from benchmarks.measuring import forget_peak, memory, show
from splinelib.channels import find_groups
from splinelib.errors import NotPiecewiseAffine, SplineError
from splinelib.experiments.origin import provenance
from splinelib.files import replacing
from splinelib.network.modes import check_weights
from splinelib.network.outputs import tensors_of

RATIO = 0.3
SIDE = 128  # of the images that detectors see
ROWS = 8  # images that a refit sees, and as many that it does not; of small inputs more
SMALL = 2000  # values
SEEN_BOXES = ("head", "rpn.head")  # heads of a detector that see all places
TESTS = Path(__file__).resolve().parent.parent / "tests"
PACKAGES = ("torch", "torchvision", "torch-pruning")
FAMILIES = ("classification", "segmentation", "video", "detection", "odd")
COLUMNS = (
    "network",
    "codes",
    "seconds",
    "MB",
    "groups",
    "units",
    "stay",
    "error",
    "refit",
    "left",
    "rival",
)
FORMATS = ("{}", "{}", "{:.2f}", "{:.0f}", "{}", "{}", "{}", "{:.0e}", "{:.2f}", "{:.3f}", "{}")
# Larger than these, a network and two copies of it do not fit beside each other into 8 GB.
TOO_LARGE = {"regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32"}


class FirstImage(nn.Module):
    """A detection network as a module that takes a batch and looks at its images."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor):
        return self.detector(list(x))


@functools.cache
def odd() -> dict[str, tuple]:
    """The small networks that the tests bring, after public bug reports: maker and input."""
    sys.path.append(str(TESTS))
    import strangers

    return {name: row[:2] for name, row in (strangers.PRUNABLE | strangers.FIXED).items()}


def names(family: str) -> list[str]:
    """The networks of a family."""
    if family == "odd":
        return list(odd())
    package = torchvision.models
    module = package if family == "classification" else getattr(package, family)
    return [n for n in torchvision.models.list_models(module=module) if n not in TOO_LARGE]


def family_of(name: str) -> str:
    """The family that a network belongs to."""
    if name in odd():
        return "odd"
    for family in FAMILIES[1:-1]:
        if name in torchvision.models.list_models(module=getattr(torchvision.models, family)):
            return family
    return "classification"


def build(name: str) -> tuple[nn.Module, Tensor]:
    """A network with statistics as after training, and two inputs that it takes."""
    torch.manual_seed(0)
    family, extra = family_of(name), {}
    if family == "odd":
        make, x = odd()[name]
        return prepared(make()), x
    if family in {"segmentation", "detection"}:
        extra["weights_backbone"] = None
    if family == "detection" and not name.startswith("ssd"):
        extra |= {"min_size": SIDE, "max_size": SIDE}
    if name in {"googlenet", "inception_v3"}:
        extra["init_weights"] = False
    model = prepared(torchvision.models.get_model(name, weights=None, **extra))
    generator = torch.Generator().manual_seed(0)
    size = 64
    if name.startswith(("vit_", "maxvit")):
        size = 224
    if name == "inception_v3":
        size = 299
    if family == "video":
        frames = 16
        size = 224 if name.startswith(("mvit", "s3d")) else 112
        return model, torch.randn(1, 3, frames, size, size, generator=generator)
    if family == "detection":
        return FirstImage(model).eval(), torch.rand(2, 3, SIDE, SIDE, generator=generator)
    return model, torch.randn(2, 3, size, size, generator=generator)


def prepared(model: nn.Module) -> nn.Module:
    """The network with statistics as after training and no heads of zeros, in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    for key, parameter in model.named_parameters():  # heads and branches that start at nothing
        if not key.endswith("bias") and parameter.abs().max() < 1e-3:
            parameter.data.normal_(0, 0.2, generator=generator)
    return model.eval()


def codes_of(model: nn.Module, x: Tensor) -> str:
    """How region codes can be had: "yes", "smooth" (only with ``smooth="sign"``), or "no"."""
    for smooth, word in (("raise", "yes"), ("sign", "smooth")):
        try:
            codes = sl.region_codes(model, x[:1], smooth=smooth)
            return word if len(codes.layers) else "no"
        except NotPiecewiseAffine:
            continue
        except (SplineError, TypeError, ValueError):
            return "no"
    return "no"


def examined(name: str, refit: bool = True) -> dict:
    """Everything about one network, or why not; without a refit that takes too long, if asked."""
    model, x = build(name)
    check_weights(model)
    row = {"network": name, "codes": codes_of(model, x)}
    parameters = sum(p.numel() for p in model.parameters())
    forget_peak()
    before, start = memory("VmRSS"), time.process_time()
    layout = find_groups(model, x)
    row |= {"seconds": round(time.process_time() - start, 2)}
    row |= {"MB": round(memory("VmHWM") - before)}
    row |= {"groups": len(layout.groups), "units": layout.units, "stay": len(layout.fixed)}
    masks = sl.select(sl.score(model, "magnitude", layout=layout), RATIO, "layerwise")
    small = sl.shrink(model, masks, x)
    expected = answers(sl.apply_masks(model, masks, x), x)
    row["error"] = float(f"{error_of(answers(small, x), expected):.1e}")
    row["refit"] = refitted(model, masks, small, x) if refit else float("nan")
    row["left"] = round(sum(p.numel() for p in small.parameters()) / parameters, 4)
    return row


def answers(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The outputs of a network; of a detector, what its heads say of all places."""
    heads = [dict(model.named_modules()).get(f"detector.{name}") for name in SEEN_BOXES]
    said: list[Tensor] = []
    handles = [
        head.register_forward_hook(lambda *call: said.extend(tensors_of(call[2])))
        for head in heads
        if isinstance(model, FirstImage) and head is not None
    ]
    with torch.no_grad():
        outputs = tensors_of(model(x))
    for handle in handles:
        handle.remove()
    return said if handles else outputs


def refitted(model: nn.Module, masks: dict[str, Tensor], small: nn.Module, x: Tensor) -> float:
    """Distance from the dense outputs after a refit, as a share of that without; NaN of zero."""
    generator = torch.Generator().manual_seed(1)
    if x.is_floating_point():
        made = torch.randn if x.min() < 0 else torch.rand
        rows = ROWS if x[0].numel() > SMALL else 16 * ROWS
        seen, new = (made(rows, *x.shape[1:], generator=generator) for _ in range(2))
    else:
        seen = new = x
    fitted = sl.shrink(model, masks, data=seen, compensate="refit")
    dense = answers(model, new)
    with_it, without = (
        sum(float((o - d).double().square().sum()) for o, d in zip(out, dense, strict=True))
        for out in (answers(fitted, new), answers(small, new))
    )
    return round((with_it / without) ** 0.5, 4) if without else float("nan")


def error_of(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference of two sets of outputs, relative to the largest value; inf if they do not
    even have the same shapes."""
    if [t.shape for t in found] != [t.shape for t in expected]:
        return float("inf")
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        if one.numel():
            scale = other.abs().max().item()
            worst = max(worst, (one.float() - other.float()).abs().max().item() / max(scale, 1e-12))
    return worst


def rival(name: str) -> dict:
    """Share of the parameters that torch-pruning leaves, or the error that it ends with."""
    import torch_pruning as tp

    model, x = build(name)
    parameters = sum(p.numel() for p in model.parameters())
    modules = dict(model.named_modules())
    outputs = [n for n, why in find_groups(model, x).fixed.items() if "outputs" in why]
    ignored = [modules[name] for name in outputs]
    pruner = tp.pruner.BasePruner(
        model,
        x,
        importance=tp.importance.MagnitudeImportance(p=2),
        pruning_ratio=RATIO,
        ignored_layers=ignored,
    )
    pruner.step()
    with torch.no_grad():
        model(x)
    return {"rival": f"{sum(p.numel() for p in model.parameters()) / parameters:.3f}"}


def looked_at(name: str, limit: int, with_rival: bool, refit: bool = True) -> dict:
    """One network in processes of its own."""
    row = {"network": name, **asked("ours" if refit else "ours as cut", name, limit)}
    if with_rival:
        found = asked("rival", name, min(limit, 60))
        row["rival"] = found.get("rival", found.get("why", ""))
    return row


def asked(which: str, name: str, limit: int) -> dict:
    """What a worker says, or why it says nothing."""
    command = [sys.executable, "-m", "benchmarks.zoo", "--worker", which, name]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"why": f"over {limit} s"}
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        return {"why": (run.stderr.strip().splitlines() or ["killed"])[-1][:200]}
    return json.loads(lines[-1])


def worker(which: str, name: str) -> None:
    """Print what one process finds, as JSON."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = rival(name) if which == "rival" else examined(name, refit=which == "ours")
    print(json.dumps(found))


def cells(row: dict) -> list:
    """One line of the table; where there is no number, the reason stands instead of the codes."""
    if "why" in row:
        blank = [float("nan")] * (len(COLUMNS) - 3)
        return [row["network"], row["why"][:60], *blank, row.get("rival", "")[:40]]
    return [row["network"], *(row[column] for column in COLUMNS[1:-1]), row.get("rival", "")[:40]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--limit", type=int, default=300, help="seconds for each; 60 for the rival")
    parser.add_argument("--no-rival", action="store_true", help="without torch-pruning")
    parser.add_argument("--no-refit", action="store_true", help="which takes longest")
    parser.add_argument("--csv", type=Path, help="write the rows here as well")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        worker(*options.worker)
        return
    chosen = options.models or [n for f in options.family or FAMILIES for n in names(f)]
    rows = []

    def looked():
        for name in chosen:
            row = looked_at(name, options.limit, not options.no_rival, not options.no_refit)
            rows.append({"family": family_of(name), **row})
            yield cells(row)
            if options.csv:
                write(options.csv, rows)

    show(COLUMNS, FORMATS, looked())


def write(path: Path, rows: list[dict]) -> None:
    """All rows so far, as CSV, after those of other networks that the file holds already."""
    held = {}
    if path.is_file():
        with path.open(newline="") as file:
            held = {row["network"]: row for row in csv.DictReader(file)}
    held |= {row["network"]: {**row, **origin()} for row in rows}
    order = sorted(held.values(), key=lambda row: (FAMILIES.index(row["family"]), row["network"]))
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, ["family", *COLUMNS, "why", "source", "how_read"], restval="")
        writer.writeheader()
        writer.writerows(order)


@functools.cache
def origin() -> dict[str, str]:
    """Where the rows come from."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    commit = (provenance()["commit"] or "unknown")[:12]
    return {
        "source": f"python -m benchmarks.zoo at commit {commit}, {versions}",
        "how_read": "measured for this project on one thread of a processor, not published",
    }


if __name__ == "__main__":
    main()
