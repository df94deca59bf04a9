"""The studies of single chapters, as commands."""

import argparse

import pytest
from recorded import (
    orders_record,
    pca_record,
    pitch_record,
    rivals_record,
    routes_record,
    shares_record,
    slices_record,
    starts_record,
    vit_record,
)

from splinelib.__main__ import main
from splinelib.experiments.studies import STUDIES

MADE = {
    "starts": starts_record,
    "pca": pca_record,
    "routes": routes_record,
    "vit": vit_record,
    "slices": slices_record,
    "rivals": rivals_record,
    "orders": orders_record,
    "shares": shares_record,
    "pitch": pitch_record,
}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_puts_its_record_in_words(study, monkeypatch, capsys, tmp_path):
    """The command asks for the record where it is told to, and shows it."""
    asked = {}

    def make(*given, folder, **told):
        asked.update(told, folder=folder)
        return MADE[study.name]()

    makers = {"pca": "truncations", "vit": "transformers"}
    module = study.make.__globals__[makers.get(study.name, study.name)]
    monkeypatch.setattr(module, "compare", make)
    assert main([study.name, "--seeds", "2", "--folder", str(tmp_path)]) == 0
    assert asked["seeds"] == 2
    assert str(asked["folder"]) == str(tmp_path)
    assert study.records.summary(MADE[study.name]()) in capsys.readouterr().out


def test_every_study_has_defaults_and_records():
    for study in STUDIES:
        parser = argparse.ArgumentParser()
        study.add_arguments(parser)
        assert parser.parse_args([]).seeds > 1
        assert study.records.record_files("nowhere") == []
