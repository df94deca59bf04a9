"""Choices of one run are made again in another."""

import pytest
import torch
import torchvision

from splinelib.channels.choices import Choices


def both(choose, first, second, **limits):
    """What is chosen in a run, in one after it, and by that one's mode."""
    with Choices() as noted:
        one = choose(*first)
    with Choices(noted, **limits) as again:
        other = choose(*second)
    return one, other, again


@pytest.mark.parametrize(
    "choose",
    [
        lambda x: x.topk(3, 0),
        lambda x: x.topk(2, largest=False),
        lambda x: x.sort(0, descending=True),
        lambda x: x.max(0),
        lambda x: x.min(1, keepdim=True),
        lambda x: x.median(1),
        lambda x: x.cummax(0),
    ],
)
def test_places_are_the_first_run_s_and_values_one_s_own(choose):
    first, second = (torch.randn(6, 4, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    one, other, again = both(choose, [first], [second])
    assert torch.equal(one[1], other[1]) and not torch.equal(one[1], choose(second)[1])
    assert torch.equal(choose(first)[0], one[0])
    # values at the same places of the same numbers are those of the operation
    assert torch.equal(both(choose, [first], [first])[1][0], one[0])
    assert torch.isin(other[0], second).all() and len(again.taken) == 1


@pytest.mark.parametrize(
    "choose",
    [
        lambda x: x.argsort(0),
        lambda x: x.argmax(1),
        lambda x: x > 0.3,
        lambda x: x.relu().nonzero(),
        lambda x: torch.where(x[:, 0] > 0)[0],
        lambda x: x.mul(3).to(torch.int64),
        lambda x: x.mul(3).floor(),
        lambda x: torchvision.ops.nms(x.abs().cumsum(1), x[:, 0], 0.3),
    ],
)
def test_what_is_no_number_but_a_choice_is_the_first_run_s(choose):
    first, second = (torch.randn(20, 4, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    one, other, again = both(choose, [first], [second])
    assert torch.equal(one, other) and one.data_ptr() != other.data_ptr()
    natural = choose(second)
    assert natural.shape != one.shape or not torch.equal(natural, one)
    said = [tensor for tensors in again.said.values() for tensor in tensors]
    assert all(tensor.dtype == torch.float32 for tensor in said) and said


def test_a_choice_from_what_differs_in_more_than_numbers_is_one_s_own():
    first = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    second = first.flip(0, 1)

    def own(choose, *others):
        _, other, again = both(choose, [first, 3], others or [second, 3])
        assert not again.taken and not again.said
        return torch.equal(other, choose(*(others or [second, 3])))

    assert own(lambda x, k: x.topk(k, 0)[1], second, 2)  # as many as a layer has channels, say
    assert own(lambda x, k: x > k / 10, second, 2)
    assert own(lambda x, k: x.argsort(0), second[:, :3], 3)
    assert own(lambda x, k: x.max() > 1)  # a condition
    assert own(lambda x, k: x.flatten().argmax())
    # which the first of two later runs left to itself, the second does too
    limited = both(lambda x: (x > 0, x > 1), [first], [second], only={("gt", 1)})
    assert torch.equal(limited[1][0], second > 0) and torch.equal(limited[1][1], first > 1)


def test_random_choices_and_maxima_of_windows_are_left_alone():
    x = torch.rand(2, 3, 8, 8)
    for choose in (
        lambda x: torch.multinomial(x.flatten(1), 3),
        lambda x: torch.nn.functional.max_pool2d(x, 2, return_indices=True)[1],
    ):
        with Choices() as noted:
            choose(x)
        assert not noted.made


def test_whole_numbers_that_a_choice_depends_on_are_heard():
    x, width = torch.arange(5.0), torch.tensor([3])
    _, _, again = both(lambda x, n: x < n, [x, width], [x, width - 1])
    assert again.said["lt, call 1"][1].tolist() == [2.0]


def test_a_network_may_write_to_what_it_chose():
    first = torch.randn(6, generator=torch.Generator().manual_seed(0))
    with Choices() as noted:
        first.argsort().add_(7)
    for _ in range(2):
        with Choices(noted):
            order = first.neg().argsort()
            assert torch.equal(order, first.argsort())
            order.add_(7)


def test_of_many_numbers_some_are_heard():
    x = torch.arange(2.0**20)
    with Choices() as noted:
        x.argsort()
    (heard,) = noted.said["argsort, call 1" if ("argsort", 0) in noted.made else "sort, call 1"]
    assert 2**16 * 0.9 < len(heard) <= 2**17 and (heard[1] - heard[0]) % 2
