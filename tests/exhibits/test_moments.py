"""Tickets by the epoch of their draw: what the figure says and what the tables show."""

import numpy as np
import pytest
from shown import rows

from splinelib.exhibits import moments

EPOCHS, TICKETS = [1, 4, 8], np.array([[0.5, 0.9, 0.2], [0.7, 0.8, 0.2]])


def test_the_alt_text_names_the_best_draw_of_these_values():
    middle = moments.by_epoch(EPOCHS, TICKETS, [0.9, 1.0], TICKETS, early_bird=4)
    assert "60.0 % after 1, 85.0 % after 4, 20.0 % after 8; highest after epoch 4." in middle.alt
    assert middle.alt.endswith("Dense at the end: 95.0 %.")
    first = moments.by_epoch(EPOCHS, TICKETS[:, [1, 0, 2]], [0.9, 1.0], TICKETS)
    assert "highest after epoch 1." in first.alt
    assert first.caption.startswith("Half of the units removed; 2 seeds.")
    other = moments.by_epoch(EPOCHS, TICKETS, [0.9, 1.0], TICKETS, ratio=0.3)
    assert other.caption.startswith("30% of the units")


def test_tickets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"3 seeds at 3 epochs.*\(2, 3\)"):
        moments.by_epoch(EPOCHS, TICKETS, [0.9] * 3, TICKETS)


def test_the_table_has_mean_spread_and_cost():
    cost = np.array([[0.4, 0.6, 1.0], [0.6, 0.6, 1.0]])
    assert rows(moments.by_epoch_table(EPOCHS, TICKETS, cost))[1:] == [
        ["1", "60.0%", "20.0%", "50%"],
        ["4", "85.0%", "10.0%", "60%"],
        ["8", "20.0%", "0.0%", "100%"],
    ]
