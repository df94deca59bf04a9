"""Two processes train one model: the same batches, the same steps, one set of files."""

import copy
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from splinelib import data, experiments, models, parallel, training
from splinelib.training import train

ROOT = Path(__file__).resolve().parents[1]

# What rounding adds up to over the steps below: sums over a batch are taken in another order.
TOLERANCE = 1e-5

FEW = 115  # the last of 4 batches has 19 images, and the two parts of it 9 and 10


class Watch:
    """Notes its calls in the history and the checkpoint; stops where it is told to."""

    def __init__(self, stop=None):
        self.stop, self.seen = stop, []

    def __call__(self, epoch, model):
        if epoch == self.stop:
            raise ValueError("stopped on purpose")
        self.seen.append(epoch)
        return {"calls": len(self.seen)}

    def state_dict(self):
        return {"seen": list(self.seen)}

    def load_state_dict(self, state):
        self.seen = list(state["seen"])


def digits():
    return data.load("digits").subset(train=FEW)


def trained(network, **options):
    options = {"epochs": 3, "batch_size": 32, "lr": 0.05, "progress": False} | options
    return train(models.build(network, digits(), width=0.125), digits(), **options)


def same(one, two):
    left, right = one.model.state_dict(), two.model.state_dict()
    return all(torch.equal(left[name], right[name]) for name in left)


def timeless(history):
    return [{key: row[key] for key in row if key != "seconds"} for row in history]


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    try:
        assert (parallel.rank(), parallel.processes()) == (rank, 2)
        mlp = trained("mlp", l1=1e-3)
        watch = Watch()
        vgg = trained("vgg16", on_epoch=watch)
        assert watch.seen == ([0, 1, 2] if rank == 0 else [])
        assert [row["calls"] for row in vgg.history] == [1, 2, 3]  # in both processes

        # both hold the same model, statistics and history
        for result in (mlp, vgg):
            for tensor in result.model.state_dict().values():
                other = tensor.clone()
                dist.broadcast(other, src=0)
                assert torch.equal(tensor, other)
            assert parallel.share(timeless(result.history)) == timeless(result.history)

        # interrupted and resumed: the error reaches both, the result is that of an unbroken run
        path = folder / "checkpoint.pt"
        with pytest.raises(ValueError, match="stopped on purpose"):
            trained("vgg16", on_epoch=Watch(stop=2), checkpoint=path)
        again = Watch()
        resumed = trained("vgg16", on_epoch=again, checkpoint=path)
        assert same(vgg, resumed) and timeless(vgg.history) == timeless(resumed.history)
        assert again.seen == ([0, 1, 2] if rank == 0 else [])
        with pytest.raises(ValueError, match="Start fewer processes"):
            trained("mlp", batch_size=3)
        if rank == 0:
            torch.save(
                {
                    name: (result.model.state_dict(), timeless(result.history))
                    for name, result in {"mlp": mlp, "vgg16": vgg}.items()
                },
                folder / "results.pt",
            )
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    mp.spawn(work, (folder,), nprocs=2)
    return folder


@pytest.mark.timeout(300)
def test_without_batch_norm_the_result_is_that_of_one_process(folder):
    state, history = torch.load(folder / "results.pt")["mlp"]
    alone = trained("mlp", l1=1e-3)
    start = models.build("mlp", digits(), width=0.125).state_dict()
    for name, tensor in alone.model.state_dict().items():
        assert (tensor - state[name]).abs().max() < TOLERANCE, name
        assert (tensor - start[name]).abs().max() > 1e-3, name
    for one, two in zip(alone.history, history, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], abs=TOLERANCE)
        assert one["train_accuracy"] == pytest.approx(two["train_accuracy"], abs=1 / FEW)


@pytest.mark.timeout(300)
def test_with_batch_norm_it_differs_by_the_statistics_of_half_a_batch(folder):
    state, history = torch.load(folder / "results.pt")["vgg16"]
    alone = trained("vgg16")
    assert [row["loss"] for row in history] == pytest.approx(
        [row["loss"] for row in alone.history], rel=0.1
    )
    # the statistics of two halves, averaged: those of the whole batches, nearly
    name = next(name for name in state if name.endswith("running_mean"))
    assert torch.allclose(state[name], alone.model.state_dict()[name], atol=0.05)


def test_resuming_with_another_number_of_processes_is_refused(folder):
    with pytest.raises(ValueError, match=r"processes 2 \(now 1\)"):
        trained("vgg16", checkpoint=folder / "checkpoint.pt")


@pytest.mark.timeout(300)
def test_only_the_files_of_one_process_are_left(folder):
    left = {file.name for file in folder.iterdir()} - {"store"}
    assert left == {"checkpoint.pt", "results.pt"}


@pytest.mark.parametrize("all_", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [14, 15, 128])
def test_the_parts_of_a_batch_are_the_whole_in_order(monkeypatch, count, all_):
    monkeypatch.setattr(parallel, "processes", lambda: all_)
    whole = []
    for number in range(all_):
        monkeypatch.setattr(parallel, "rank", lambda number=number: number)
        mine = range(count)[parallel.part(count)]
        assert count // all_ <= len(mine) <= -(-count // all_)
        whole += mine
    assert whole == list(range(count))


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_part_of_a_batch_is_augmented_as_in_the_whole(cut):
    images = data.load("digits").train_images[:10]

    def parts(*bounds):
        return torch.cat(
            [
                data.augment(images[a:b], torch.Generator().manual_seed(3), place=(a, 10))
                for a, b in bounds
            ]
        )

    whole = data.augment(images, torch.Generator().manual_seed(3))
    assert torch.equal(parts((0, cut), (cut, 10)), whole)
    assert not torch.equal(whole, images)


def test_one_process_alone_needs_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with parallel.launched():
        assert (parallel.rank(), parallel.processes()) == (0, 1)
        assert not dist.is_initialized()
    assert parallel.share("kept") == "kept"
    model = models.build("vgg16", digits(), width=0.1)
    before = copy.deepcopy(model.state_dict())
    parallel.average_statistics(model)
    assert all(torch.equal(before[name], model.state_dict()[name]) for name in before)
    with pytest.raises(training.OutOfGpuMemory):
        parallel.first(lambda: (_ for _ in ()).throw(training.OutOfGpuMemory("full")))


def test_more_processes_than_gpus_is_a_clear_message(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(ValueError, match="4 processes on a machine with 2 GPUs"),
        parallel.launched(),
    ):
        pass


def test_an_error_that_cannot_travel_keeps_its_words():
    class Local(Exception):
        pass

    assert "Local: hm" in str(parallel._portable(Local("hm")))
    assert isinstance(parallel._portable(KeyError("x")), KeyError)


def launch(words, folder, processes=2, timeout=240):
    """The command line under torchrun, on the CPU."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", "-m", "splinelib", *words, "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, cwd=ROOT
    )


@pytest.mark.timeout(600)
def test_torchrun_makes_the_record_that_one_process_makes(tmp_path):
    protocol = experiments.Protocol(
        **{"network": "mlp", "width": 0.25, "epochs": 3, "batch_size": 20, "probe": 16},
        **{"calibration": 64, "train_size": FEW, "test_size": 64, "lr": 0.05},
    )
    words = shlex.split(
        experiments.command(protocol, [experiments.Ticket("spline", 0.5, "residual", "refit")])
    )[3:]
    first = launch(words, tmp_path / "two")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count(protocol.name) == 1  # one process speaks
    two = experiments.read_record(tmp_path / "two" / f"{protocol.name}.json")
    one = experiments.run(
        protocol, ["spline@residual+refit"], [0.5], folder=tmp_path / "one", progress=False
    )
    for left, right in ((one["dense"], two["dense"]), (one["tickets"][0], two["tickets"][0])):
        assert right["provenance"]["hardware"]["processes"] == 2
        assert left["provenance"]["hardware"]["processes"] == 1
        assert left["flops"] == right["flops"]
        for mine, other in zip(left["history"], right["history"], strict=True):
            assert other["loss"] == pytest.approx(mine["loss"], abs=TOLERANCE)
    assert one["tickets"][0]["widths"] == two["tickets"][0]["widths"]
    assert one["early_bird"]["distances"] == two["early_bird"]["distances"]
    assert one["command"] == two["command"]
    assert not list((tmp_path / "two").glob("*.lock"))

    # what is wrong with a request ends all processes, and is said
    wrong = launch(
        ["run", "--network", "mlp", "--lr", "0.2", "--name", protocol.name], tmp_path / "two"
    )
    assert wrong.returncode != 0
    assert "was made with other settings" in wrong.stderr
