"""What a measurement takes at the least is said before it is begun."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from skipwise.analysis import find_sites
from skipwise.diagnosis.plan import PLAN, Entry
from skipwise.diagnosis.subject import LEAST
from tests.diagnosis.test_examine import small
from tests.diagnosis.test_judging import subject

MANY = 8.0  # passes of each example, for which a slow network has no time
LONG = [entry for entry in PLAN if entry.deep or entry.name == "lesions"]


def operations(work: Callable[[], Any]) -> int:
    """Count the multiplications of what is done."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("entry", LONG, ids=lambda entry: entry.name)
def test_what_takes_many_passes_of_the_fewest_examples_says_so(entry: Entry):
    model = small(16)
    slow = replace(subject(model, sites=find_sites(model)), cost=1e9)
    inputs, _ = slow.some(LEAST)
    of_one = operations(lambda: model(inputs).sum().backward()) / LEAST
    taken = operations(lambda: entry.measure(slow)) / of_one
    assert taken <= max(entry.passes(slow), MANY * LEAST)
