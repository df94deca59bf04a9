"""Crops: every shift occurs, nothing else does, and drawing first changes nothing."""

import torch
from tape import Tape

from splinelib import data
from splinelib.data.crops import Crops


def test_augmented_images_are_shifted_and_mirrored_copies():
    generator = torch.Generator().manual_seed(0)
    image = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8)
    result = data.augment(image.expand(500, 1, 8, 8), generator, padding=2)
    padded = torch.nn.functional.pad(image, (2,) * 4)[0, 0]
    possible = {}
    for row in range(5):
        for column in range(5):
            crop = padded[row : row + 8, column : column + 8]
            possible[crop.contiguous().numpy().tobytes()] = (row, column, False)
            possible[crop.flip(1).contiguous().numpy().tobytes()] = (row, column, True)
    seen = {possible[crop[0].contiguous().numpy().tobytes()] for crop in result}
    assert len(seen) == len(possible) == 50  # every shift occurs, mirrored and not
    assert result.shape == (500, 1, 8, 8) and result.dtype == torch.uint8


def test_all_channels_of_an_image_move_together():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 32, 32), generator=generator, dtype=torch.uint8)
    result = data.augment(images.expand(64, 3, 32, 32), generator)
    assert torch.equal(result[:, 0], result[:, 2])
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_digits_are_never_mirrored(digits):
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[0, 0, :, 2] = 255  # a stroke left of the middle stays left of it
    result = digits.augment(image.expand(100, 1, 8, 8), torch.Generator().manual_seed(0))
    assert result[:, 0, :, 4:].max() == 0


def test_what_is_drawn_first_and_made_later_is_what_augment_makes(digits):
    images = digits.train_images[:6]
    one, two = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    crops = Crops.of(8, 8, flip=True)
    for place in (None, (2, 11)):
        shifts, mirrored = crops.draw(6, one, place)
        assert (shifts.shape, shifts.dtype) == ((2, 6, 1), torch.int64)
        assert (mirrored.shape, mirrored.dtype) == ((6, 1), torch.bool)
        made = crops.make(images, shifts, mirrored)
        assert torch.equal(made, data.augment(images, two, place=place))
    # Images that are never mirrored leave the numbers after them as they would be.
    still, turned = Crops.of(8, 8, flip=False), Crops.of(8, 8, flip=True)
    drawn = [crops.draw(3, torch.Generator().manual_seed(1)) for crops in (still, turned)]
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])


def test_making_them_can_be_captured(digits):
    """One shape whatever was drawn, and nothing of it from the host."""
    crops, generator = Crops.of(8, 8, flip=True), torch.Generator().manual_seed(0)
    drawn, result = list(crops.draw(5, generator)), []
    images = digits.train_images[:5]
    replay = Tape()(lambda: result.append(crops.make(images, *drawn)))
    for _ in range(3):
        new = crops.draw(5, generator)
        for buffer, value in zip(drawn, new, strict=True):
            buffer.copy_(value)
        replay()
        assert torch.equal(result[0], crops.make(images, *new))
