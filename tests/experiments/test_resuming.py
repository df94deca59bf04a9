"""A resumed run is one run: nothing of another gets into its record."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from runs import TINY, Killed, timeless

from splinelib import archives, experiments
from splinelib.__main__ import main
from splinelib.errors import DamagedFile
from splinelib.experiments import read_record, resuming, run, runner
from splinelib.training import read_checkpoint

QUICK = replace(TINY, epochs=3, width=0.125)


def make(protocol, folder, criteria=("spline",), ratios=(0.5,), **options):
    return run(protocol, criteria, ratios, folder=folder, progress=False, **options)


@pytest.fixture
def killed(monkeypatch):
    """Have the next run end after so many evaluations, as if it were killed."""

    def after(count: int) -> None:
        evaluate, calls = runner.evaluate, []

        def deadly(*arguments, **options):
            calls.append(None)
            if len(calls) == count:
                raise Killed
            return evaluate(*arguments, **options)

        monkeypatch.setattr(runner, "evaluate", deadly)

    return after


def test_a_ticket_left_behind_by_another_run_is_not_taken(tmp_path):
    """The record deleted, and as the messages say the dense checkpoint."""
    make(QUICK, tmp_path, name="e")
    (tmp_path / "e.json").unlink()
    other, work = replace(QUICK, seed=1), tmp_path / "checkpoints" / "e"
    with pytest.raises(ValueError, match=r"dense\.pt belongs to another.*seed 0 \(now 1\).*delete"):
        make(other, tmp_path, name="e")
    (work / "dense.pt").unlink()
    with pytest.warns(UserWarning, match=r"spline-0\.5\.pt is left behind.*seed 0 \(now 1\)"):
        record = make(other, tmp_path, name="e")
    clean = make(other, tmp_path / "clean", name="e")
    assert timeless(record) == timeless(clean)


def test_the_weights_that_a_ticket_was_drawn_from_are_compared_too(tmp_path, killed):
    """As on a GPU, where the same settings train to other weights."""
    killed(3 + 2)
    with pytest.raises(Killed):
        make(QUICK, tmp_path)
    work = tmp_path / "checkpoints" / QUICK.name
    before = archives.read_tensors(work / "spline-0.5.drawn.pt", "", "")
    draw = archives.read_tensors(work / "draw.pt", "", "")
    next(iter(draw["model"].values())).add_(1e-3)
    archives.write_tensors(work / "draw.pt", draw)
    record = make(QUICK, tmp_path)
    after = archives.read_tensors(work / "spline-0.5.drawn.pt", "", "")
    assert before["settings"]["drawn_from"] != after["settings"]["drawn_from"]
    recipe = read_checkpoint(work / "spline-0.5.pt")["recipe"]
    assert recipe["drawn_from"] == after["settings"]["drawn_from"]
    assert record["tickets"][0]["widths"] == after["notes"]["widths"]


@pytest.mark.parametrize(
    ("setting", "before", "now"),
    [
        *[("latest_draw", 1, 0), ("threshold", 0.9, 0.0001), ("lookback", 1, 2)],
        *[("test_size", 40, None), ("probe", 16, 8), ("calibration", 64, 32)],
    ],
)
def test_a_setting_changed_after_a_kill_is_refused_by_name(tmp_path, killed, setting, before, now):
    killed(2)
    with pytest.raises(Killed):
        make(replace(QUICK, **{setting: before}), tmp_path, name="e")
    path = tmp_path / "checkpoints" / "e" / "dense.pt"
    changed = replace(QUICK, **{setting: now})
    with pytest.raises(ValueError, match=rf"{setting} {before} \(now {now}\).*--name") as caught:
        make(changed, tmp_path, name="e")
    assert str(path) in str(caught.value)
    path.unlink()
    assert timeless(make(changed, tmp_path, name="e")) == timeless(
        make(changed, tmp_path / "clean", name="e")
    )


def tree(folder, dark: str):
    """An image folder of two classes, one of which is dark."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 16), ("val", 4)):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                low = 0 if name == dark else 200
                pixels = generator.integers(low, low + 50, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")
    return f"folder:{folder}"


OF_FOLDER = replace(QUICK, image_size=8, train_size=None, test_size=None, batch_size=8)


def test_two_image_folders_of_one_name_are_two_runs(tmp_path, killed, monkeypatch):
    x, y = tree(tmp_path / "x" / "imgs", "a"), tree(tmp_path / "y" / "imgs", "b")
    runs = tmp_path / "runs"
    first, second = replace(OF_FOLDER, dataset=x), replace(OF_FOLDER, dataset=y)
    assert first.name == second.name
    killed(2)
    with pytest.raises(Killed):
        make(first, runs)
    with pytest.raises(ValueError, match=r"another training run: images .*--name"):
        make(second, runs)
    monkeypatch.undo()
    record = make(first, runs)
    for criteria in (("spline",), ("magnitude",)):  # recorded already, and to be added
        with pytest.raises(ValueError, match=r"made of other images.*folder:imgs.*--name"):
            make(second, runs, criteria)
    assert make(first, runs) == record
    assert make(second, runs, name="other")["dataset"]["images"] != record["dataset"]["images"]
    # images of the same folder exchanged
    image = tmp_path / "x" / "imgs" / "val" / "a" / "0.png"
    image.write_bytes((tmp_path / "x" / "imgs" / "val" / "b" / "0.png").read_bytes())
    with pytest.raises(ValueError, match="made of other images"):
        make(first, runs)


def test_a_record_of_a_folder_from_before_images_were_named_is_not_added_to(tmp_path):
    protocol = replace(OF_FOLDER, dataset=tree(tmp_path / "imgs", "a"))
    record = make(protocol, tmp_path)
    del record["dataset"]["images"]
    (tmp_path / f"{protocol.name}.json").write_text(json.dumps(record))
    assert make(protocol, tmp_path) == record  # it is what it is
    with pytest.raises(ValueError, match="does not say of which images"):
        make(protocol, tmp_path, ("magnitude",))


def test_the_one_shot_curves_of_an_image_folder_find_its_images(tmp_path, monkeypatch, capsys):
    """The record does not say where they lie, and neither do the commands in it."""
    protocol, runs = replace(OF_FOLDER, dataset=tree(tmp_path / "imgs", "a")), tmp_path / "runs"
    record = make(protocol, runs)
    assert str(tmp_path) not in (runs / f"{protocol.name}.json").read_text()
    words = ["--methods", "magnitude", "--ratios", "0.5", "--folder", str(runs)]
    assert main(["oneshot", protocol.name, *words]) == 0
    curve = experiments.oneshot.records(runs)[0]
    assert str(tmp_path) not in json.dumps(curve)
    for recorded in (record, curve):  # both commands can be repeated, also from another folder
        assert main([*recorded["command"].split()[3:], "--folder", str(runs)]) == 0
    (runs / "oneshot" / f"{protocol.name}.json").unlink()
    for image in (tmp_path / "imgs" / "val" / "a").iterdir():
        Image.new("RGB", (8, 8), "white").save(image)
    assert main(["oneshot", protocol.name, *words]) == 2
    assert "made of other images" in capsys.readouterr().err


def old(path):
    """Make a checkpoint one from before settings stood in it."""
    state = read_checkpoint(path)
    known = {"augment", "examples", "processes", *TINY.recipe().state_dict()}
    state["recipe"] = {key: state["recipe"][key] for key in known}
    archives.write_tensors(path, state)


def test_a_dense_checkpoint_of_before_goes_on_where_that_is_safe(tmp_path, killed, monkeypatch):
    clean = make(QUICK, tmp_path / "clean")
    killed(3)
    with pytest.raises(Killed):
        make(QUICK, tmp_path)
    monkeypatch.undo()
    path = tmp_path / "checkpoints" / QUICK.name / "dense.pt"
    old(path)
    with pytest.raises(ValueError, match=r"said of which run.*Delete .*--name"):
        make(replace(QUICK, test_size=50), tmp_path)  # of 64, by its accuracies
    whole = path.read_bytes()
    path.parent.rename(path.parent.parent / "e")
    with pytest.raises(ValueError, match="said of which run"):
        make(QUICK, tmp_path, name="e")
    (path.parent.parent / "e").rename(path.parent)
    assert path.read_bytes() == whole
    assert timeless(make(QUICK, tmp_path)) == timeless(clean)
    assert "network" in read_checkpoint(path)["recipe"]


def test_the_tickets_of_before_are_drawn_and_trained_anew(tmp_path, monkeypatch):
    clean = make(QUICK, tmp_path)
    path, work = tmp_path / f"{QUICK.name}.json", tmp_path / "checkpoints" / QUICK.name
    record = read_record(path)
    del record["dataset"]["images"]
    path.write_text(json.dumps(record | {"tickets": []}))
    for name in ("dense.pt", "spline-0.5.pt"):
        old(work / name)
    draw = archives.read_tensors(work / "draw.pt", "", "")
    del draw["settings"]
    archives.write_tensors(work / "draw.pt", draw)
    drawn = archives.read_tensors(work / "spline-0.5.drawn.pt", "", "")
    archives.write_tensors(work / "spline-0.5.drawn.pt", drawn["network"])
    with pytest.warns(UserWarning, match="does not say of which"):
        record = make(QUICK, tmp_path)
    assert timeless(record["tickets"]) == timeless(clean["tickets"])
    # a lottery ticket is drawn from the dense checkpoint itself
    assert len(make(QUICK, tmp_path, ("lottery:magnitude",))["tickets"]) == 2


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("draw.pt", "delete the record and .* to run anew"),
        ("dense.pt", "Delete it to train from the start"),
        ("spline-0.5.drawn.pt", "Delete it to draw the ticket anew"),
        ("spline-0.5.pt", "Delete it to train from the start"),
        ("codes-001.npz", "Delete .* to start over"),
    ],
)
def test_damage_and_loss_are_said_with_what_to_do(tmp_path, name, remedy):
    clean = make(QUICK, tmp_path)
    record, path = tmp_path / f"{QUICK.name}.json", tmp_path / "checkpoints" / QUICK.name / name

    def forget() -> None:
        """Have the run read the file again."""
        record.unlink(missing_ok=True)
        if name not in ("dense.pt", "codes-001.npz"):
            record.write_text(json.dumps(clean | {"tickets": []}))

    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:middle] + b"\xff" * 4 + whole[middle + 4 :]):
        forget()
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=remedy) as caught:
            make(QUICK, tmp_path)
        assert path.name in str(caught.value)
    if name == "codes-001.npz":
        forget()
        path.unlink()
        with pytest.raises(DamagedFile, match=remedy):
            make(QUICK, tmp_path)
    path.write_bytes(whole)
    forget()
    assert timeless(make(QUICK, tmp_path)) == timeless(clean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(epoch=-1), "epoch is -1"),
        (lambda d: d.pop("model"), "model is missing"),
        (lambda d: d["settings"].update(seed=7), r"seed 7 \(now 0\)"),
    ],
)
def test_a_network_to_draw_from_that_cannot_be_is_refused(tmp_path, change, message):
    settings = {"seed": 0, "dataset": "digits"}
    draw = {"epoch": 1, "probe": 2, "model": {"w": torch.ones(2)}, "settings": dict(settings)}
    path = tmp_path / "draw.pt"
    archives.write_tensors(path, draw)
    assert resuming.read_draw(path, settings, 1)["epoch"] == 1
    with pytest.raises(DamagedFile, match="network after epoch 2, and tickets are drawn"):
        resuming.read_draw(path, settings, 0)
    change(draw)
    archives.write_tensors(path, draw)
    with pytest.raises(ValueError, match=message):
        resuming.read_draw(path, settings, 1)
