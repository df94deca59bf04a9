"""Dense networks that studies prune."""

import pytest
import torch
from networks import convnet, dense_mlp, images
from runs import CURVES

import splinelib as sl
from splinelib.experiments import order_records, subjects


def study(entries_of=lambda subject: [], **told):
    return subjects.pruned_in_all_ways(
        order_records.RECORDS, entries_of, **{"seeds": 1, "progress": False} | told
    )


def test_a_network_on_digits_is_judged_by_what_it_has_not_seen():
    digits = sl.data.load("digits")
    chosen, held_out = digits.split(subjects.HELD_OUT, seed=0)
    one = subjects.trained("mlp", 1, 1.0, 1)
    inputs, labels = digits.to_float(digits.train_images), digits.train_labels
    assert torch.equal(one.data, inputs[chosen]) and one.seed == 1
    right = sl.training.evaluate(one.model, inputs[held_out], labels[held_out])
    assert one.judge(one.model) == right


def test_the_network_of_a_run_is_judged_by_the_test_images(folder):
    one = subjects.recorded(CURVES.name, folder, None)
    wanted = subjects.recorded_run(CURVES.name, folder)["dense"]["test_accuracy"]
    assert one.judge(one.model) == wanted and one.seed == CURVES.seed
    few = subjects.recorded(CURVES.name, folder, None, judged=1)
    assert few.judge(few.model) in (0, 1)


def entries_of(subject):
    return [
        {
            **{"seed": subject.seed, "criterion": "dense", "scope": "", "ratio": 0.0, "draw": 0},
            **{"renewed": False, "accuracy": 0.5},
        }
    ]


def test_seeds_are_added_and_none_is_done_twice(tmp_path, monkeypatch):
    asked = []

    def trained(network, seed, width, epochs):
        asked.append(seed)
        return subjects.Subject(torch.nn.Identity(), torch.zeros(1), lambda _: 0.5, seed)

    monkeypatch.setattr(subjects, "trained", trained)
    study(entries_of, folder=tmp_path)
    record = study(entries_of, seeds=3, folder=tmp_path)
    assert asked == [0, 1, 2] == [entry["seed"] for entry in record["entries"]]
    assert record["command"].endswith("--network mlp --seeds 3 --name digits-mlp")


def test_wrong_requests_are_refused(tmp_path):
    for told, message in (
        ({"network": "lenet"}, "network"),
        ({"seeds": 0}, "at least one seed"),
        ({"run": "none"}, "no recorded run 'none'"),
        ({"name": "../up"}, "name"),
    ):
        with pytest.raises(ValueError, match=message):
            study(folder=tmp_path, **told)


def test_whether_statistics_can_be_renewed():
    for model, normed in ((convnet(), True), (dense_mlp(), False)):
        assert subjects.Subject(model, images(2), lambda _: 1.0, 0).normed == normed
