"""Published figures beside ours."""

import pytest
from recorded import record, ticket
from shown import rows

from splinelib.exhibits import printed

RETRAINING = [
    {
        "network": "vgg16",
        "dataset": dataset,
        "method": method,
        "ratio": ratio,
        "accuracy_percent": 93.0,
        "uncertainty_percent": 0.1,
        "how_read": "by eye",
    }
    for dataset, method, ratio in (
        ("cifar10", "dense", 0),
        ("cifar10", "EB", 0.5),
        ("cifar100", "EB", 0.5),
    )
]
PRICES = [
    {"method": method, "ratio": ratio, "accuracy_percent": accuracy, "cost_units": cost}
    for method, ratio, accuracy, cost in (
        ("SNIP", 0.5, 70.0, 300),
        ("SNIP", 0.1, 71.5, 320),
        ("EB", 0.1, 72.0, 200),
    )
]


def whole(dataset, *tickets, **settings):
    return record(*tickets, dataset=dataset, width=1.0, epochs=160, **settings)


def test_ours_are_of_full_width_over_all_epochs():
    drawn = ticket("spline", 0.5)
    made = whole("cifar10", drawn)
    others = [record(drawn), record(drawn, width=1.0), whole("cifar100", drawn), whole("cifar10")]
    assert printed.of_published_size([*others[:3], made], "vgg16", "cifar10") == [made]
    assert printed.of_published_size(others, "vgg16", "cifar10") == []


def test_retraining_beside_ours():
    ours = whole("cifar10", ticket("spline", 0.5, 0.925), accuracy=0.935)
    table = printed.retraining(RETRAINING, [ours], "cifar10")
    assert rows(table)[1:] == [
        ["vgg16", "dense", "93.0 ± 0.1c", "93.50b", ""],
        ["vgg16", "50%", "93.0 ± 0.1c", "92.50b", "not recorded"],
    ]
    assert table.caption == (
        "Accuracy (%) on CIFAR-10, 160 epochs at full width. Early-Bird Tickets (arXiv "
        "1909.11957), retraining figure: by eye"
    )
    nothing = rows(printed.retraining(RETRAINING, [], "cifar10"))
    assert nothing[1][3] == nothing[2][3] == nothing[2][4] == "not recorded"
    with pytest.raises(ValueError, match="cifar10, cifar100"):
        printed.retraining(RETRAINING, [], "digits")


def test_prices_beside_ours():
    ours = whole("cifar100", ticket("spline", 0.5, 0.71, pflop=9.0), pflop=15.0)
    table = printed.price_list(PRICES, [ours], "vgg16", "cifar100")
    assert rows(table) == [
        ["method", "10 %", "50 %", "cost 10 %", "cost 50 %"],
        ["SNIPc", "71.5", "70", "320", "300"],
        ["EBc", "72", "not recorded", "200", "not recorded"],
        ["ours, splineb", "not recorded", "71.00b", "not recorded", "180b"],  # 9 PFLOP / 0.05
    ]
    assert len(rows(printed.price_list(PRICES, [], "vgg16", "cifar100"))) == 3
    assert table.caption.startswith("VGG-16 on CIFAR-100, Table 2")


def test_the_figure_of_prices_counts_its_methods():
    figure = printed.price_figure(PRICES, "vgg16", "cifar100")
    assert figure.alt == (
        "Published accuracy of two methods on CIFAR-100 against their training cost, each at 10 "
        "and 50 percent of the channels removed."
    )
    assert figure.caption.endswith("VGG-16 on CIFAR-100 at 10 and 50 % removed.")
