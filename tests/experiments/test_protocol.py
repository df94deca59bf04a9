"""Protocols and tickets: named, parsed, refused."""

import shlex
from dataclasses import asdict, fields, replace

import pytest
from runs import TINY

from splinelib import experiments, pruning
from splinelib.__main__ import _parser
from splinelib.experiments import Protocol, Ticket, run
from splinelib.experiments.protocol import asked_for


def test_the_command_in_a_record_asks_for_the_same_run(tiny):
    record, _ = tiny
    words = shlex.split(record["command"])
    assert words[:3] == ["python", "-m", "splinelib"]
    options = _parser().parse_args(words[3:])
    for key, value in record["protocol"].items():
        assert getattr(options, key) == value
    asked = {Ticket.parse(text, ratio) for text in options.criteria for ratio in options.ratios}
    assert asked == {Ticket.of(entry) for entry in record["tickets"]}


def test_settings_that_are_not_the_default_are_in_the_name():
    names = {replace(TINY, **{key: value}).name for key, value in [("lr", 0.2), ("probe", 8)]}
    assert len(names | {TINY.name}) == 3
    assert (
        Protocol(batch_size=256, l1=1e-4).name == "digits-vgg16-w1-e160-batch_size256-l10.0001-s0"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "epochs"),
        ({"epochs": 4, "latest_draw": 3}, "latest_draw"),
        ({"probe": 0}, "probe"),
        ({"validation": 1.0}, "validation"),
    ],
)
def test_bad_protocols(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


@pytest.mark.parametrize(
    ("text", "ratio", "message"),
    [
        ("splines", 0.5, "Known: .*'spline'"),
        ("spline", 1.0, "ratio"),
        ("spline@some", 0.5, "scope"),
        ("spline+glue", 0.5, "compensation"),
    ],
)
def test_bad_tickets_are_refused_before_any_work(tmp_path, text, ratio, message):
    with pytest.raises(ValueError, match=message):
        run(TINY, (text,), (ratio,), folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_tickets_text_and_parts_agree():
    for criterion in pruning.CRITERIA:
        for scope in experiments.SCOPES:
            for compensate in experiments.COMPENSATIONS:
                ticket = Ticket(criterion, 0.5, scope, compensate)
                assert Ticket.parse(ticket.method, 0.5) == ticket
            drawn = [Ticket(criterion, 0.5, scope, rule=rule) for rule in ("codes", "masks", "end")]
            assert [Ticket.parse(ticket.method, 0.5) for ticket in drawn] == drawn
            assert len({ticket.name for ticket in drawn}) == 3
    assert Ticket.of(asdict(drawn[2])) == drawn[2]
    with pytest.raises(ValueError, match="nothing to compensate"):
        Ticket.parse("lottery:bn+refit", 0.5)


def test_a_ratio_given_twice_is_one_ticket(tmp_path):
    """Also where two ratios are so close that their files would have one name."""
    tickets = asked_for(["spline", "bn"], [0.5, 0.50000001, 0.5, 0.3])
    assert [ticket.name for ticket in tickets] == ["spline-0.5", "spline-0.3", "bn-0.5", "bn-0.3"]
    few = replace(TINY, epochs=2, width=0.125)
    for _ in range(2):
        record = run(few, ("magnitude",), (0.5, 0.50000001, 0.5), folder=tmp_path, progress=False)
        assert [ticket["ratio"] for ticket in record["tickets"]] == [0.5]
    (dense, spread) = experiments.across_seeds(experiments.records(tmp_path))[0]
    assert dense.seeds == spread.seeds == [0]


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/abs/x",
        "a/b",
        "oneshot/x",
        "..",
        ".",
        "",
        ".hidden",
        "a\nb",
        "a\0b",
        "a b",
        "x" * 201,
    ],
)
def test_a_name_is_one_part_of_a_path(tmp_path, name):
    folder = tmp_path / "runs"
    with pytest.raises(ValueError, match="cannot be the name of a record"):
        run(TINY, (), name=name, folder=folder, progress=False)
    with pytest.raises(ValueError, match="cannot be the name of a record"):
        experiments.oneshot.curves(name, folder=folder, progress=False)
    with pytest.raises(ValueError, match="cannot be the name of a criterion"):
        _ = Ticket(name, 0.5).name
    assert list(tmp_path.iterdir()) == []


def test_criteria_of_a_path_are_not_drawn_by(tmp_path, monkeypatch):
    monkeypatch.setitem(pruning.CRITERIA, "../../x", pruning.CRITERIA["magnitude"])
    with pytest.raises(ValueError, match="cannot be the name of a criterion"):
        run(TINY, ("../../x",), (0.5,), folder=tmp_path / "runs", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_unknown_criteria_are_refused_where_they_are_asked_for_and_not_where_they_are_read(
    tmp_path,
):
    mine = Ticket("newest-first", 0.5)  # a record of somebody's own criterion may hold it
    assert Ticket.of(asdict(mine)) == Ticket.parse("newest-first", 0.5) == mine
    for ask in (
        lambda: asked_for(["newest-first"], [0.5]),
        lambda: experiments.run_tickets(TINY, [mine], folder=tmp_path / "runs"),
        lambda: experiments.sweeps.sweep({TINY: [mine]}, folder=tmp_path / "runs"),
        lambda: experiments.oneshot.curves("a", ["newest-first"], folder=tmp_path / "runs"),
    ):
        with pytest.raises(ValueError, match=r"no criterion 'newest-first'.*'spline'"):
            ask()
    assert not (tmp_path / "runs").exists()


def test_the_paper_s_protocol_is_the_default():
    protocol = Protocol()
    assert (protocol.epochs, protocol.lr, protocol.batch_size) == (160, 0.1, 128)
    assert (protocol.momentum, protocol.weight_decay) == (0.9, 1e-4)
    assert (protocol.threshold, protocol.lookback) == (0.16, 3)
    assert all(option.metadata["source"] for option in fields(Protocol))
    assert protocol.last_draw == 79  # the last epoch at the full rate
    assert Protocol(dataset="folder:/some/place/flowers").name == "folder-flowers-vgg16-w1-e160-s0"
