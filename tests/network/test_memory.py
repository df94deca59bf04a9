"""Memory that tensors share."""

import torch

from splinelib.network.memory import (
    Marks,
    assigned,
    assigned_to_constant,
    key_of,
    storage_of,
    version_of,
)


def test_views_share_their_memory_and_their_version():
    x = torch.zeros(3, 4)
    view, copy = x[:, 1:], x.clone()
    assert key_of(view) == key_of(x) != key_of(copy)
    assert storage_of(torch.empty(0)) is None
    before = version_of(x)
    view.add_(1)
    assert version_of(x) == version_of(view) != before
    with torch.inference_mode():
        assert version_of(torch.zeros(1)) == -1


def test_an_assignment_gives_a_copy():
    x, value = torch.zeros(2, 3), torch.ones(2, 2)
    out = assigned(x, (slice(None), slice(1, None)), value)
    assert out.tolist() == [[0, 1, 1]] * 2 and not x.any()
    out = assigned_to_constant(torch.zeros(1, 3), (slice(None), 0), torch.ones(4))
    assert out.tolist() == [[1, 0, 0]] * 4


def test_marks_go_from_what_is_read_to_what_is_written():
    @torch.jit.script
    def scripted(x):
        return x.relu() + 1

    marks, x, constant = Marks(), torch.ones(3), torch.ones(3)
    marks.mark(x)
    buffer, other = torch.zeros(6), torch.zeros(3)
    with marks:
        made = scripted(x)
        torch.add(x, 1, out=buffer[:3])
        other.add_(constant)
        mapped = torch.vmap(lambda row: row * 2)(x)
    assert all(map(marks.marked, (x, x[:1], made, buffer, mapped)))
    assert not any(map(marks.marked, (constant, other)))
    marks.unmark(made)
    assert not marks.marked(made)


def test_memory_that_is_given_back_bears_no_mark():
    marks, x = Marks(), torch.ones(100_000)
    marks.mark(x)
    with marks:
        made = x + 1
        assert marks.marked(made) and marks.marked(made.view(10, -1))
        view = made[:5]
        del made
        assert marks.marked(view), "a view holds the memory"
        del view
        # one of them, as a rule, is given the very same memory
        others = [torch.ones(100_000) for _ in range(50)]
    assert not any(map(marks.marked, others))
