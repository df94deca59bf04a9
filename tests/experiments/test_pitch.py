"""A pitch estimator, pruned in several ways."""

import warnings

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.__main__ import main
from splinelib.experiments import pitch, pitch_records
from splinelib.models.pitch import PitchEstimator

CHANNELS = (8, 6, 6, 6, 6, 8)


class Told(nn.Module):
    """Gives logits for pitches of its own, whatever it is asked."""

    def __init__(self, cents):
        super().__init__()
        places = (torch.tensor(cents) - 1997.3794) / 20
        self.logits = -3.0 * (torch.arange(360.0) - places[:, None]).square()

    def forward(self, frames):
        return self.logits[: len(frames)]


def small(size, weights=None):
    torch.manual_seed(0)
    return PitchEstimator(CHANNELS).eval()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pitch, "pitch_estimator", small)
    monkeypatch.setattr(pitch, "JUDGED", 8)


def test_a_pitch_counts_within_a_quarter_tone():
    truth = 10 * 2 ** (torch.tensor([4000.0, 5000.0, 6000.0]) / 1200)
    told = Told([4045.0, 5055.0, 5955.0])
    frames = torch.zeros(3, 1024)
    assert pitch.heard(told, frames, truth) == pytest.approx(2 / 3)
    assert pitch.heard(told, frames, truth, cents=60) == 1
    assert pitch.heard(told, frames, truth, cents=40) == 0


def test_a_network_is_asked_in_evaluation_mode_and_keeps_its_own():
    frames, truth = sl.data.tones(4)
    model = small("tiny")
    expected = pitch.heard(model, frames, truth, cents=2400)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    assert pitch.heard(model, frames, truth, cents=2400) == expected and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "frames, truth, cents, message",
    [
        (torch.zeros(3, 1024), torch.ones(3, 1), 50, "as many pitches"),
        (torch.zeros(3, 1024), torch.ones(2), 50, "as many pitches"),
        (torch.zeros(0, 1024), torch.ones(0), 50, "there should be frames"),
        (torch.zeros(1024), torch.ones(1), 50, "there should be frames"),
        (torch.zeros(3, 1024), torch.zeros(3), 50, "above 0"),
        (torch.zeros(3, 1024), torch.full((3,), torch.nan), 50, "finite"),
        (torch.zeros(3, 1024), torch.ones(3), float("nan"), "at least 0, not nan"),
    ],
)
def test_what_cannot_be_heard_is_refused(frames, truth, cents, message):
    with pytest.raises(ValueError, match=message):
        pitch.heard(Told([4000.0] * 3), frames, truth, cents)


def test_what_is_named_twice_is_recorded_once(tmp_path):
    asked = {"ways": ("bend", "bend"), "ratios": (0.5, 0.5), "frames": 16}
    pitch.compare(folder=tmp_path, progress=False, **asked)
    kept = pitch_records.read(pitch_records.path_of("tiny", tmp_path))
    assert [(e["way"], e["ratio"]) for e in kept["entries"]] == [("dense", 0), ("bend", 0.5)]


def test_every_way_is_what_it_says():
    model, (data, _) = small("tiny"), sl.data.tones(24)
    example = {"example": data[:1]}
    wanted = {
        **{
            name: lambda name=name: sl.prune(model, 0.5, name, data=data)
            for name in pitch_records.CUT
        },
        "spline merged": lambda: sl.prune(model, 0.5, "spline", compensate="merge", **example),
        "default without data": lambda: sl.prune(model, 0.5, **example),
        "random refitted": lambda: sl.prune(
            model, 0.5, "random", "residual", data=data, compensate="refit"
        ),
        "spline refitted": lambda: sl.prune(
            model, 0.5, "spline", "residual", data=data, compensate="refit"
        ),
        "default with data": lambda: sl.prune(model, 0.5, data=data),
    }
    made = pitch.ways_of(model, data)
    assert made.keys() == wanted.keys() == {*pitch_records.WAYS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for way, make in wanted.items():
            one, other = made[way](0.5).state_dict(), make().state_dict()
            assert all(torch.equal(one[name], other[name]) for name in other), way


def test_a_record_grows_and_is_not_made_twice(tmp_path, capsys):
    asked = ["--ways", "random", "bend", "--ratios", "0.5", "--frames", "16"]
    assert main(["pitch", *asked, "--seeds", "2", "--folder", f"{tmp_path}"]) == 0
    assert "random" in capsys.readouterr().out
    first = pitch_records.read(pitch_records.path_of("tiny", tmp_path))
    keys = [(e["way"], e["ratio"], e["seed"]) for e in first["entries"]]
    assert keys == [("dense", 0, 0), ("random", 0.5, 0), ("bend", 0.5, 0), ("random", 0.5, 1)]
    told = "--size tiny --ways random bend --ratios 0.5 --seeds 2 --frames 16 --name tiny"
    assert first["command"] == f"python -m splinelib pitch {told}"
    dense, half = first["entries"][:2]
    assert dense["channels"] == sum(CHANNELS) and half["channels"] == sum(CHANNELS) // 2
    assert 0 < half["macs"] < dense["macs"] and half["parameters"] < dense["parameters"]
    settings = {"folder": tmp_path, "progress": False, "frames": 16}
    more = pitch.compare(ratios=(0.3,), ways=("bend",), seeds=1, **settings)
    assert more["entries"][:4] == first["entries"] and len(more["entries"]) == 5
    again = pitch.compare(ratios=(0.3, 0.5), ways=("bend",), seeds=1, **settings)
    assert again == more


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"size": "large"}, "size"),
        ({"ways": ("guess",)}, "guess"),
        ({"ratios": (0.0,)}, "above 0"),
        ({"ratios": (1.0,)}, "share of units"),
        ({"seeds": 0}, "at least one seed"),
        ({"frames": 0}, "at least one frame"),
        ({"name": "../up"}, "name"),
    ],
)
def test_what_makes_no_record_is_refused(tmp_path, asked, message):
    with pytest.raises(ValueError, match=message):
        pitch.compare(folder=tmp_path, progress=False, **asked)
    assert not [*tmp_path.rglob("*.json")]


def test_other_tones_are_another_record(tmp_path):
    few = {"ways": ("bend",), "ratios": (0.5,), "folder": tmp_path, "progress": False}
    pitch.compare(frames=16, **few)
    with pytest.raises(ValueError, match="--name"):
        pitch.compare(frames=17, **few)
