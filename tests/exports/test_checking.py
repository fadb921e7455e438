"""What an exported file is held to: numbers that differ are seen, wherever and by how little."""

import numpy as np
import pytest
import torch

from skipwise.data import CLASSES, LABELS, NUMBERS, InMemory
from skipwise.exports.checking import TOLERANCE, Check, _compared, spread


def test_the_examples_are_spread_over_a_part_that_is_sorted():
    part = InMemory(torch.arange(1000.0)[:, None], torch.arange(1000) // 100)
    found = spread(part, 100)[:, 0]
    assert (float(found[0]), float(found[-1])) == (0.0, 999.0)
    assert found.diff().min() >= 10
    assert found.diff().max() <= 11
    assert spread(part, 5000).shape == (1000, 1)  # all there are


def test_numbers_are_compared_beside_the_largest_and_probabilities_as_they_are():
    ours = np.array([[100.0, -400.0], [3.0, 2.0]])
    theirs = ours + np.array([[0.0, 0.0], [0.0, 0.2]])
    assert _compared(ours, theirs, NUMBERS, "").difference == pytest.approx(0.2 / 400)
    assert _compared(ours, theirs, LABELS, "").difference == pytest.approx(0.2)
    found = _compared(ours, theirs, NUMBERS, "which")
    assert (found.examples, found.what, found.good) == (2, "which", False)


def test_a_class_differs_where_ours_is_surely_more_likely():
    ours = np.array([[0.6, 0.4, 0.0], [0.5, 0.5 - TOLERANCE, TOLERANCE], [0.2, 0.3, 0.5]])
    theirs = np.array([[0.4, 0.6, 0.0], [0.5 - TOLERANCE, 0.5, TOLERANCE], [0.2, 0.3, 0.5]])
    found = _compared(ours, theirs, CLASSES, "")
    assert found.difference == pytest.approx(0.2)
    assert found.differing == 1  # the second row is as likely as not


@pytest.mark.parametrize(
    ("difference", "differing", "good"),
    [(TOLERANCE, 0, True), (1.01 * TOLERANCE, 0, False), (0.0, 1, False), (1.0, 1, False)],
)
def test_good_is_what_agrees_in_numbers_and_in_classes(difference, differing: int, good: bool):
    found = Check(examples=9, what="", difference=difference, differing=differing)
    assert found.good is good
