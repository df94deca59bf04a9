"""Tones: their pitch, their frames, and what is refused."""

import pytest
import torch

from splinelib.data import tones
from splinelib.data.sounds import HIGHEST, LOWEST, SAMPLE_RATE


def test_frames_are_what_the_estimator_takes():
    frames, pitch = tones(40, seed=3)
    assert frames.shape == (40, 1024) and frames.dtype == pitch.dtype == torch.float32
    torch.testing.assert_close(frames.mean(1), torch.zeros(40), rtol=0, atol=1e-6)
    torch.testing.assert_close(frames.std(1), torch.ones(40), rtol=1e-5, atol=0)
    assert ((pitch > LOWEST - 0.1) & (pitch < HIGHEST + 0.1)).all()
    half = (pitch < (LOWEST * HIGHEST) ** 0.5).float().mean()
    assert 0.2 < half < 0.8  # even on a logarithmic scale


def test_the_pitch_is_that_of_the_frame():
    """A frame is periodic: it is most like itself one period later."""
    frames, pitch = tones(20, seed=1, noise=0.0)
    for frame, hertz in zip(frames.double(), pitch, strict=True):
        period = SAMPLE_RATE / hertz.item()
        whole = round(period)
        same = torch.nn.functional.cosine_similarity(frame[whole:], frame[:-whole], dim=0)
        other = round(1.5 * period)
        unlike = torch.nn.functional.cosine_similarity(frame[other:], frame[:-other], dim=0)
        assert same > 0.8 and same > unlike + 0.1


def test_noise_is_a_share_of_the_tone():
    clean, _ = tones(30, noise=0.0)
    noisy, _ = tones(30, noise=1.0)  # the same tones
    alike = torch.nn.functional.cosine_similarity(clean, noisy).mean()
    assert alike.item() == pytest.approx(0.5**0.5, abs=0.03)


def test_tones_are_those_of_their_seed():
    assert torch.equal(tones(5, seed=2)[0], tones(5, seed=2)[0])
    assert not torch.equal(tones(5, seed=2)[0], tones(5, seed=3)[0])


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"count": 0}, "at least 1, not 0"),
        ({"count": 2, "noise": -1}, "noise is"),
        ({"count": 2, "noise": float("nan")}, "finite, not nan"),
        ({"count": 2, "noise": float("inf")}, "finite, not inf"),
    ],
)
def test_what_makes_no_tones_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        tones(**asked)
