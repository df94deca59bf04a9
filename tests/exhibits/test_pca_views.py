"""What directions show of units, and the network whose twins PCA cannot tell apart."""

import pytest
import torch
from shown import rows

import splinelib as sl
from splinelib.exhibits import pca_views


@pytest.fixture
def normals():
    """16 units that read images of 4 x 4 pixels; 3 and 7 differ in a weak direction."""
    generator = torch.Generator().manual_seed(0)
    strong = torch.randn(16, 4, generator=generator) @ torch.randn(4, 16, generator=generator)
    normals = strong + 0.1 * torch.randn(16, 16, generator=generator)
    normals[7] = normals[3]
    weak = torch.linalg.svd(strong).Vh[-1] * 0.8 * normals[3].norm()
    normals[3], normals[7] = normals[3] + weak, normals[7] - weak
    return normals


def test_false_twins_are_those_that_are_shown_too_close(normals):
    assert pca_views.false_twins(normals, 3) == (3, 7)


def test_figures_tell_what_the_bound_says(normals):
    view = sl.redundancy.truncate(normals, 3)
    unit = pca_views.unit_rows(normals)
    told = pca_views.two_units(normals, (3, 7), [3, 16])._repr_html_()
    low, high = (float(end[3, 7]) for end in view.cosine_range)
    assert f"have the cosine {view.cosines[3, 7]:.2f}" in told
    assert f"the true one, {unit[3] @ unit[7]:.2f}, may be {low:.2f} to {high:.2f}" in told
    told = pca_views.all_pairs(normals, [3, 16], points=20)._repr_html_()
    assert f"no more than {view.largest:.2f} by the bound" in told
    assert "16 directions: cosines are wrong by up to 0.00, no more than 0.00" in told


def test_close_pairs_are_counted_on_both_sides():
    cosines = torch.tensor([[1.0, 0.7, -0.9], [0.7, 1.0, 0.2], [-0.9, 0.2, 1.0]])
    assert pca_views.close_pairs(cosines) == 2
    shown = rows(pca_views.close_table({"one": torch.tensor([[1.0, 0], [1, 0.1], [0, 1]])}, 2))
    assert shown[1][:3] == ["one", "1", "1"]


def test_what_is_taken_over_is_what_a_multiple_says():
    said = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [2.0, 4.0, 2.0]])
    assert pca_views.taken_over(said, 0, 1) == pytest.approx(1)
    assert pca_views.taken_over(said, 0, 2) == pytest.approx(16 / (5 * 13))
    normals = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.1]])
    assert pca_views.closest(normals) == (0, 1)
    shown = rows(pca_views.taken_over_table(normals, said, {"both": (0, 1)}, 2))
    assert shown[1] == ["both", "0.60", "0.60", "100%"]


def test_components_stand_beside_those_of_other_means(normals):
    shown = rows(pca_views.components_table({"one": normals}, [0.1]))
    assert shown[1][:2] == ["one", "0.1"]
    expected = [sl.redundancy.components_for(normals, 0.1, by) for by in sl.redundancy.BY]
    assert [int(cell) for cell in shown[1][2:6]] == [
        expected[2],
        expected[1],
        expected[0],
        expected[3],
    ]
    assert shown[1][7] == f"{sl.redundancy.random_components(16, 0.1):,}"


@pytest.mark.parametrize("eta", [1.0, 0.1, 0.01])
def test_merging_the_twins_loses_the_third_input_whatever_the_angle(eta):
    model = pca_views.hidden_signal(eta)
    small = pca_views.twins_merged(model)
    x = torch.tensor([[0.9, 0.2, 0.5], [0.9, 0.2, -0.7]]) / max(1, eta)
    assert torch.allclose((model(x) - small(x)).flatten(), x[:, 2], atol=1e-4)
    ((energy, moved),) = pca_views.twins_apart([eta]).values()
    assert energy == pytest.approx(2 * eta**2 / (1 + eta**2) / 8, rel=1e-3)
    assert moved == pytest.approx(1, abs=1e-4)


def test_the_angle_is_told():
    assert "Twins 90.0 degrees apart: 12.50%" in pca_views.hidden_figure([1.0, 0.5])._repr_html_()
