"""The study of transformers: parts, heads that can be rebuilt, recorded and not made again."""

import pytest
import torch
from runs import check_going_on
from torch import nn

import splinelib as sl
from splinelib import models
from splinelib.__main__ import main
from splinelib.experiments import transformer_records, transformers
from splinelib.pruning.scoring import context_for


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder, patch = tmp_path_factory.mktemp("runs"), pytest.MonkeyPatch()
    few = dict.fromkeys(transformer_records.PARTS, (("magnitude",), (0.5,)))
    patch.setattr(transformers, "ORDERS", few)
    told = {"seeds": 2, "epochs": 1, "width": 0.125, "folder": folder, "progress": False}
    yield folder, told, transformers.compare(**told)
    patch.undo()


def test_a_record_has_every_part(made):
    folder, _, record = made
    (path,) = transformer_records.record_files(folder)
    assert transformer_records.read(path) == record
    parts = [(entry["part"], entry["compensate"]) for entry in record["entries"]]
    assert parts == [(p, c) for p in transformer_records.PARTS for c in ("nothing", "refit")]
    assert [(e["layer"], e["head"]) for e in record["heads"]] == [
        (layer, head) for layer in (1, 2, 3) for head in (1, 2, 3, 4)
    ]
    assert [entry["when"] for entry in record["maps"]] == ["start", "trained"]
    assert record["settled"] == [None, None]


def test_what_is_recorded_is_not_made_again(made, monkeypatch):
    _, told, record = made
    monkeypatch.setattr(transformers, "Trained", None)
    assert transformers.compare(**told) == record
    with pytest.raises(ValueError, match=r"made with epochs 1 \(now 3\)"):
        transformers.compare(**told | {"epochs": 3})
    with pytest.raises(ValueError, match="two networks or more"):
        transformers.compare(**told | {"seeds": 1})


def test_an_interrupted_record_goes_on(made, monkeypatch, tmp_path):
    _, told, record = made
    check_going_on(
        transformers, transformer_records, told | {"folder": tmp_path}, record, monkeypatch
    )


def test_the_command_says_what_came_out(made, capsys):
    _, told, record = made
    words = [f"--{part}={told[part]}" for part in ("seeds", "epochs", "width", "folder")]
    assert main(["vit", *words]) == 0
    assert capsys.readouterr().out.startswith("digits  pruned transformers, dense")
    assert record["command"] == (
        "python -m splinelib vit --seeds 2 --width 0.125 --epochs 1 --name digits"
    )


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    model = models.vision_transformer(channels=1, image_size=8, width=0.125, depth=1)
    return model, torch.randn(200, 1, 8, 8)


def test_a_part_loses_what_was_asked_and_no_other(small):
    model, images = small
    trained = transformers.Trained.__new__(transformers.Trained)
    trained.inputs, trained.seed = images, 0
    trained.context = context_for(model, images, None, 0, None)
    sizes = {}
    for part in transformer_records.PARTS:
        pruned = trained.pruned(trained.scores("magnitude", part), 0.5)
        block = pruned.blocks[0]
        sizes[part] = [
            pruned.patches.out_channels,
            block.attention.qkv.out_features,
            block.mlp[0].out_features,
        ]
    assert sizes == {"units": [16, 48, 16], "heads": [16, 24, 32], "stream": [8, 48, 32]}


def test_a_head_that_another_repeats_is_not_lost(small):
    model, images = small
    attention = model.blocks[0].attention
    size, width = attention.size, attention.proj.in_features
    with torch.no_grad():
        for tensor in (attention.qkv.weight, attention.qkv.bias):
            for part in range(3):
                rows = tensor[part * width : (part + 1) * width]
                rows[size : 2 * size] = rows[:size]
    context = context_for(model, images, None, 0, None)
    (group,) = [g for g in context.layout.groups.values() if g.heads]
    lost = transformers.lost_with_heads(context, group)
    assert lost[:2].max() < 0.005 and lost[2:].min() > 0.05  # but for the ridge of the fit


def test_what_a_head_brings_is_what_is_lost_without_it(small):
    model, images = small
    context = context_for(model, images, None, 0, None)
    (group,) = [g for g in context.layout.groups.values() if g.heads]
    attention, read = model.blocks[0].attention, []
    hook = attention.proj.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    heads = read[0].flatten(0, -2).unflatten(1, (group.units, -1))
    weights = attention.proj.weight.detach().unflatten(1, (group.units, -1))
    said = torch.einsum("nhs,ohs->hno", heads, weights)
    by_hand = said.var(1).sum(-1) / said.sum(0).var(0).sum()
    brought = transformers.brought_by_heads(context, group)
    assert brought.tolist() == pytest.approx(by_hand.tolist(), rel=0.02)
    assert (transformers.lost_with_heads(context, group) <= brought + 1e-9).all()


def test_the_gap_is_that_of_the_jacobian():
    model = nn.Sequential(nn.Linear(3, 3), nn.Softmax(1)).double()
    x = torch.randn(3, dtype=torch.float64)
    assert transformers.gap(model, x) == pytest.approx(1)  # nothing of it is affine
    assert transformers.gap(nn.Sequential(model[0], nn.ReLU()), x) == pytest.approx(0, abs=1e-12)
    half = nn.Sequential(model[0], nn.LayerNorm(3).double())
    held, _ = sl.affine_map(half, x, smooth="freeze")
    assert 0 < transformers.gap(half, x) < 10 and held.abs().sum() > 0
