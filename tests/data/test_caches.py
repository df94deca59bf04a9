"""Where datasets are kept."""

from splinelib import data


def test_the_cache_folder_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setenv("SPLINELIB_DATA", str(tmp_path))
    assert data.cache_folder() == tmp_path
