"""Training in the browser: the steps of Adam are torch's, cut weights stay cut, data are apart."""

import numpy as np
import pytest
import torch
from networks import random_network

import splinelib as sl

TRAIN = """([text, points, steps]) => {
    const network = fromJson(text);
    const trainer = new Trainer(network, 1);
    for (let i = 0; i < steps; i++) trainer.batch(fromPoints(points), 0.02);
    return toJson(network);
}"""


def points(count=20):
    generator = torch.Generator().manual_seed(3)
    xy = 2 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 1
    return xy, (xy.prod(1) > 0).double()


def test_a_step_is_a_step_of_adam(modules):
    model, (xy, label) = random_network([7, 5], 2).double(), points()
    rows = [[*p, c] for p, c in zip(xy.tolist(), label.tolist(), strict=True)]
    found = sl.models.from_json(modules(TRAIN, [sl.models.to_json(model), rows, 30]))
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(30):
        adam.zero_grad()
        logits = model(xy)[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(logits, label).backward()
        adam.step()
    for mine, theirs in zip(found.parameters(), model.parameters(), strict=True):
        assert mine.detach().numpy() == pytest.approx(theirs.detach().numpy(), abs=1e-9)


def test_a_weight_that_is_cut_stays_cut(modules):
    model, (xy, label) = random_network([4, 3], 2).double(), points()
    model[0].weight.data[1, 0] = 0
    rows = [[*p, c] for p, c in zip(xy.tolist(), label.tolist(), strict=True)]
    found = sl.models.from_json(modules(TRAIN, [sl.models.to_json(model), rows, 5]))
    changed = (found[1].weight != model[0].weight).numpy()
    assert not changed[1, 0] and changed.sum() == 7


@pytest.mark.parametrize("name", ["cross", "circles", "spiral", "moons"])
def test_a_network_learns_each_problem(modules, name):
    before, after = modules(
        """name => {
            const [data, network] = [makeData(name, 1), randomNetwork([12, 12], 3)];
            const trainer = new Trainer(network, 1);
            const before = accuracyOn(network, data);
            for (let epochs = 0; epochs < 150;) epochs += trainer.batch(data, 0.01);
            return [before, accuracyOn(network, data)];
        }""",
        name,
    )
    assert after > max(0.9, before)


def test_problems_follow_from_their_seed_and_lie_in_the_square(modules):
    draw = "([name, seed]) => { const d = makeData(name, seed); return [...d.x, ...d.y]; }"
    for name in modules("() => DATA"):
        one, again, other = (modules(draw, [name, seed]) for seed in (1, 1, 2))
        assert one == again != other
        assert np.abs(one).max() < 1.2
