"""Files are written whole or not at all."""

import stat

import pytest

from splinelib import files


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path):
    path = tmp_path / "folder" / "note.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists() and temporary.parent == path.parent
        assert temporary.suffix == ".txt"  # numpy appends its own to names that lack it
    assert path.read_text() == "one" and [p.name for p in path.parent.iterdir()] == ["note.txt"]


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("before")
    with pytest.raises(KeyError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_others_may_read_it_as_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    with files.replacing(tmp_path / "ours") as temporary:
        temporary.write_text("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_an_installed_package_has_no_checkout(tmp_path, monkeypatch):
    assert (files.checkout() / "pyproject.toml").is_file()
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "site-packages" / "splinelib")
    assert files.repository() is None
    with pytest.raises(ValueError, match="pip install -e"):
        files.checkout()
