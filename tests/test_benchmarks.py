"""What the benchmarks compare with is right, and they run. How fast they are, nobody asserts."""

import csv
import math

import numpy as np
import pytest
import torch
from torch import nn

import splinelib as sl
from benchmarks import bounds as bounds_benchmark
from benchmarks import codes as codes_benchmark
from benchmarks import compensation, pruning, settings, zoo
from benchmarks import memory as memory_benchmark
from benchmarks import partition as benchmark
from benchmarks import training as training_benchmark


@pytest.mark.parametrize("widths", [[5], [16, 16], [12, 12, 12]])
def test_the_baseline_draws_the_same_partition(widths):
    model = benchmark.random_network(widths, seed=0)
    polygons, codes, areas = benchmark.per_unit(model)
    part = sl.partition(model, benchmark.DOMAIN)
    assert len(polygons) == len(part)
    mine = [part.codes.unpack(name).numpy() for name in part.layers]
    mine = np.concatenate([np.packbits(bits, axis=1) for bits in mine], axis=1)
    order, other = np.lexsort(codes.T), np.lexsort(mine.T)
    assert (codes[order] == mine[other]).all()
    assert areas[order] == pytest.approx(part.areas[other], rel=1e-9)
    # the units that draw the sides of each region, in any order
    starts = np.cumsum([0, *widths])
    unit = np.where(
        part.edge_source[:, 0] >= 0,
        starts[part.edge_source[:, 0]] + part.edge_source[:, 1],
        -1 - part.edge_source[:, 1],
    )
    sides = part.mesh.loops >> 1
    for one, two in zip(order[:200], other[:200], strict=True):
        drawn = polygons.source[one, : polygons.count[one]]
        expected = unit[sides[part.mesh.ptr[two] : part.mesh.ptr[two + 1]]]
        assert sorted(drawn) == sorted(expected)


def test_the_partition_benchmark_prints_its_tables(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "NETWORKS", ([8] * 2,))
    monkeypatch.setattr(benchmark, "GROWTH", ((8,), (1, 2)))
    benchmark.main(["--seeds", "1", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.strip().startswith("[8] * 2"))
    assert row.split()[-1] == "yes"
    assert sum(line.strip().startswith("[8]") for line in lines) == 3


def test_keeping_floats_gives_the_same_distance_as_codes():
    """Pooling, residual adds and a last batch that is smaller included."""
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for make in (sl.models.vgg16, sl.models.resnet18):
        models = [make(10, width=0.1, seed=seed).eval() for seed in range(2)]
        codes = [sl.region_codes(m, images) for m in models]
        floats = [codes_benchmark.float_codes(m, images, batch_size=3) for m in models]
        bits = [codes[0].unpack(name) for name in codes[0].layers]
        assert all(torch.equal(f.bool(), b) for f, b in zip(floats[0], bits, strict=True))
        assert codes[0].distance(codes[1]) == pytest.approx(codes_benchmark.float_distance(*floats))


def test_the_codes_benchmark_prints_its_tables(capsys, monkeypatch):
    small = {"small": lambda seed: sl.models.preresnet(11, 10, width=0.25, seed=seed)}
    monkeypatch.setattr(codes_benchmark, "NETWORKS", small)
    words = "--inputs 4 --batch-size 2 --repeats 1 --many 40"
    codes_benchmark.main(words.split())
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "small" in line]
    assert [row[0] for row in rows] == ["small"] * 3
    assert rows[-1][-1] == "yes"


def test_the_training_baseline_gives_the_same_losses_on_the_same_batches(cifar10_root):
    data = sl.data.load("cifar10", cifar10_root).subset(train=4 * 16, test=16)
    model = sl.models.vgg16(width=0.0625)
    plain, ours = training_benchmark.same_batches(model, data, 2, torch.device("cpu"))
    assert plain == pytest.approx(ours, rel=1e-4)
    assert plain[0] != pytest.approx(plain[1], rel=1e-3)  # something was learned in between


def test_the_training_benchmark_prints_both_rates(cifar10_root, capsys, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setenv("SPLINELIB_DATA", str(cifar10_root))
    words = "--width 0.0625 --images 128 --repeats 1 --epochs 1 --train-size 128 --seeds 1"
    try:
        training_benchmark.main(words.split())
    finally:
        torch.set_num_threads(threads)
    shown = capsys.readouterr().out
    assert shown.count("images/s") == 2 and "times as fast" in shown
    assert shown.count("after 1 epochs of 128 images") == 2


def test_the_slice_benchmark_finds_its_codes_right(capsys, monkeypatch):
    small = sl.models.build
    monkeypatch.setattr(sl.models, "build", lambda name, data, width: small(name, data, width=0.1))
    benchmark.main(["--slice", "vgg16", "--dataset", "digits", "--side", "0.02"])
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[0] == "vgg16" and row[-1] == "100%"
    assert int(row[3].replace(",", "")) > 20


def test_the_compensation_benchmark_prints_its_table(capsys):
    compensation.main(["--seeds", "1", "--criteria", "magnitude", "--ratios", "0.5"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("magnitude")]
    assert len(lines) == len(compensation.STEPS)
    lost = [float(line.split()[-3]) for line in lines]  # behind it, two columns of seconds
    assert lost[-1] < lost[0]


def test_the_settings_benchmark_tries_on_test_images_what_lost_least_on_validation(capsys):
    settings.main(["--seeds", "1", "--ratios", "0.5"])
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines[2 : 2 + len(settings.RHOS)]]
    lost = {
        (float(row[0]), components): float(cell)
        for row in table
        for components, cell in zip(settings.COMPONENTS, row[1:], strict=True)
    }
    best, default = lines[-2].split(), lines[-1].split()
    assert best[:3] == ["least", "on", "validation"] and default[0] == "default"
    components = float(best[6]) if "." in best[6] else int(best[6])
    assert lost[float(best[4]), components] == min(lost.values())


def test_the_pruning_benchmark_prints_its_tables(capsys, monkeypatch):
    make = {"small": lambda: sl.models.vgg16(width=0.0625)}
    monkeypatch.setattr(pruning, "NETWORKS", make)
    sizes = ["--widths", "64", "--fan-in", "32", "--greedy", "40"]
    pruning.main(["--repeats", "1", *sizes])
    out = capsys.readouterr().out
    assert "small" in out and "64 x 32" in out and "each step at once" in out


def test_the_memory_benchmark_looks_at_a_process_of_its_own(capsys):
    memory_benchmark.main(["--frames", "8", "--width", "0.0625"])
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[1] == "8" and 0 < float(row[2].replace(",", "")) < 2000


def test_the_zoo_looks_at_networks_in_processes_of_their_own(tmp_path, capsys):
    path = tmp_path / "networks.csv"
    zoo.main(["--models", "squeezenet1_1", "--csv", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["squeezenet1_1", "yes"]
    zoo.main(["--models", "no_such_network", "--no-rival", "--csv", str(path)])
    assert "no_such_network" in capsys.readouterr().out.splitlines()[1]
    with path.open(newline="") as file:
        first, second = sorted(csv.DictReader(file), key=lambda row: row["why"])
    assert float(first["error"]) < 1e-4 and abs(float(first["left"]) - float(first["rival"])) < 0.02
    assert "Unknown model" in second["why"] and "benchmarks.zoo at commit" in second["source"]
    # rows of other networks stay when a few are looked at again
    zoo.write(path, [{**first, "codes": "no"}])
    with path.open(newline="") as file:
        assert [row["codes"] for row in csv.DictReader(file)].count("no") == 1


def test_the_zoo_knows_small_odd_networks():
    assert zoo.family_of("glu by chunk") == "odd" and zoo.family_of("resnet18") == "classification"
    row = zoo.examined("yolo")
    assert row["codes"] == "smooth" and row["groups"] == 6 and row["error"] < 1e-5
    assert 0 < row["refit"] < 0.5 and row["left"] < 0.6
    assert math.isnan(zoo.examined("yolo", refit=False)["refit"])


def test_the_zoo_leaves_the_refit_out_if_asked(capsys):
    zoo.main(["--models", "softmax", "--no-rival", "--no-refit"])
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[:2] == ["softmax", "smooth"] and line[8] == "nan" and float(line[9]) < 0.9


def test_of_a_detector_the_heads_are_compared():
    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, images):
            return self.head(torch.stack(images)).argmax(1)  # a choice

    model = zoo.FirstImage(Detector())
    x = torch.randn(4, 3)
    assert torch.equal(zoo.answers(model, x)[0], model.detector.head(x))
    assert torch.equal(zoo.answers(model.detector.head, x)[0], model.detector.head(x))


def test_differences_of_outputs():
    one = [torch.ones(3), torch.zeros(2)]
    assert zoo.error_of(one, one) == 0
    assert zoo.error_of([torch.ones(3) * 1.5, torch.zeros(2)], one) == pytest.approx(0.5)
    assert zoo.error_of(one[:1], one) == float("inf")


def test_the_bounds_benchmark_prints_its_table(capsys, monkeypatch):
    monkeypatch.setattr(bounds_benchmark, "WIDTHS", ([8],))
    monkeypatch.setattr(bounds_benchmark, "RADII", (0.1,))
    bounds_benchmark.main(["--boxes", "2", "--repeats", "1", "--epochs", "1"])
    found = [line.split()[-7:] for line in capsys.readouterr().out.splitlines() if "[8]" in line]
    assert len(found) == 2 * len(bounds_benchmark.PRUNED)
    for least, ours, _, crown, _, interval, _ in found:
        assert float(least) <= float(ours) * 1.01 + 1e-6 <= float(crown) * 1.02 + 1e-5
        assert float(ours) <= float(interval) * 1.01
