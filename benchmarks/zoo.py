"""Which networks of others can be read and pruned, and does a smaller one compute what it should?

    python -m benchmarks.zoo                # all of torchvision, with torch-pruning beside it
    python -m benchmarks.zoo --family video --csv out.csv
    python -m benchmarks.zoo --models resnet18 swin_t

Each network is made without weights, its batch norms are given statistics as after training, and it
is looked at in a process of its own, so that a hang or a lack of memory costs one row. 30 % of the
units of each group are removed (by norm, an even share), once as a mask and once for good: the
largest difference between the two, relative to the largest output, is the error. The same share is
removed by torch-pruning, the rival (magnitude, all layers but those that make the outputs). "left"
is the share of the parameters that stay. Seconds are those of the processor, on one thread.
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
PACKAGES = ("torch", "torchvision", "torch-pruning")
FAMILIES = ("classification", "segmentation", "video", "detection")
COLUMNS = (
    "network",
    "codes",
    "seconds",
    "MB",
    "groups",
    "units",
    "stay",
    "error",
    "left",
    "rival",
)
FORMATS = ("{}", "{}", "{:.2f}", "{:.0f}", "{}", "{}", "{}", "{:.0e}", "{:.3f}", "{}")
# Larger than these, a network and two copies of it do not fit beside each other into 8 GB.
TOO_LARGE = {"regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32"}


class FirstImage(nn.Module):
    """A detection network as a module that takes a batch and looks at its images."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor):
        return self.detector(list(x))


def names(family: str) -> list[str]:
    """The networks of a family of torchvision."""
    package = torchvision.models
    module = package if family == "classification" else getattr(package, family)
    return [n for n in torchvision.models.list_models(module=module) if n not in TOO_LARGE]


def family_of(name: str) -> str:
    """The family that a network of torchvision belongs to."""
    for family in FAMILIES[1:]:
        if name in torchvision.models.list_models(module=getattr(torchvision.models, family)):
            return family
    return "classification"


def build(name: str) -> tuple[nn.Module, Tensor]:
    """A network with statistics as after training, and two inputs that it takes."""
    torch.manual_seed(0)
    family, extra = family_of(name), {}
    if family in {"segmentation", "detection"}:
        extra["weights_backbone"] = None
    if name in {"googlenet", "inception_v3"}:
        extra["init_weights"] = False
    model = torchvision.models.get_model(name, weights=None, **extra)
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    for key, parameter in model.named_parameters():  # heads and branches that start at nothing
        if not key.endswith("bias") and parameter.abs().max() < 1e-3:
            parameter.data.normal_(0, 0.2, generator=generator)
    size = 64
    if name.startswith(("vit_", "maxvit")):
        size = 224
    if name == "inception_v3":
        size = 299
    if family == "video":
        frames = 16
        size = 224 if name.startswith(("mvit", "s3d")) else 112
        return model.eval(), torch.randn(1, 3, frames, size, size, generator=generator)
    if family == "detection":
        return FirstImage(model).eval(), torch.rand(2, 3, 96, 96, generator=generator)
    return model.eval(), torch.randn(2, 3, size, size, generator=generator)


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


def examined(name: str) -> dict:
    """Everything about one network, or why not."""
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
    with torch.no_grad():
        expected = tensors_of(sl.apply_masks(model, masks, x)(x))
        found = tensors_of(small(x))
    row["error"] = float(f"{error_of(found, expected):.1e}")
    row["left"] = round(sum(p.numel() for p in small.parameters()) / parameters, 4)
    return row


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


def looked_at(name: str, limit: int, with_rival: bool) -> dict:
    """One network in processes of its own."""
    row = {"network": name, **asked("ours", name, limit)}
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
    print(json.dumps((examined if which == "ours" else rival)(name)))


def cells(row: dict) -> list:
    """One line of the table; where there is no number, the reason stands instead of the codes."""
    if "why" in row:
        blank = [float("nan")] * 8
        return [row["network"], row["why"][:60], *blank[:7], row.get("rival", "")[:40]]
    return [row["network"], *(row[column] for column in COLUMNS[1:-1]), row.get("rival", "")[:40]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--limit", type=int, default=300, help="seconds for each; 60 for the rival")
    parser.add_argument("--no-rival", action="store_true", help="without torch-pruning")
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
            row = looked_at(name, options.limit, not options.no_rival)
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
