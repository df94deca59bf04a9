"""Images of the reader's own: folders and arrays."""

import numpy as np
import pytest
import torch
from PIL import Image

from splinelib.data.pictures import load_pictures, normalised
from splinelib.errors import DamagedFile


def test_a_folder_is_read_by_name_and_scaled(tmp_path):
    (tmp_path / "below").mkdir()
    Image.new("RGB", (12, 10), (255, 0, 51)).save(tmp_path / "b.png")
    Image.new("L", (10, 10), 102).save(tmp_path / "below" / "a.png")
    images, names = load_pictures(tmp_path, 8)
    assert names == ["b.png", "below/a.png"] and images.shape == (2, 3, 8, 8)
    assert images[0, :, 4, 4].tolist() == pytest.approx([1, 0, 0.2])
    grey, _ = load_pictures(tmp_path, 8, grey=True)
    assert grey.shape == (2, 1, 8, 8) and grey[0, 0, 0, 0] == pytest.approx(0.4)


def test_an_array_is_taken_as_it_is_and_bytes_are_scaled(tmp_path):
    np.save(tmp_path / "x.npy", np.full((3, 4), 2.5))
    images, names = load_pictures(tmp_path / "x.npy")
    assert images.dtype == torch.float32 and (images == 2.5).all() and names[2] == "row 3"
    np.save(tmp_path / "y.npy", np.full((3, 4), 51, np.uint8))
    assert load_pictures(tmp_path / "y.npy")[0][0, 0] == pytest.approx(0.2)


def test_what_holds_no_images_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load_pictures(tmp_path / "nothing")
    with pytest.raises(ValueError, match="holds no images"):
        load_pictures(tmp_path, 8)
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="--image-size"):
        load_pictures(tmp_path)
    wrong = tmp_path / "x.npy"
    for array, told in (([["a"]], "array of numbers"), ([1.0], "rows are inputs")):
        np.save(wrong, np.array(array))
        with pytest.raises(ValueError, match=told):
            load_pictures(wrong)
    np.save(wrong, np.array([[np.nan]]))
    with pytest.raises(ValueError, match="NaN"):
        load_pictures(wrong)
    wrong.write_bytes(b"no array")
    with pytest.raises(DamagedFile, match="no array of NumPy"):
        load_pictures(wrong)


def test_normalising_is_by_channel():
    images = torch.ones(2, 3, 2, 2)
    assert normalised(images, [0.5], [2.0])[0, 0, 0, 0] == 0.25
    assert normalised(images, [1, 0, 0.5], [1, 1, 0.5])[0, :, 0, 0].tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="one for each of 3 channels"):
        normalised(images, [0, 0], [1])
    with pytest.raises(ValueError, match="above zero"):
        normalised(images, [0], [0])


@pytest.mark.parametrize("told", [{"image_size": 8}, {"grey": True}])
def test_rows_of_an_array_are_not_scaled_without_a_word(tmp_path, told):
    np.save(tmp_path / "x.npy", np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"x\.npy is no folder of images.*taken as they are"):
        load_pictures(tmp_path / "x.npy", **told)
