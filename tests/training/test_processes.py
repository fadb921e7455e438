"""Several processes compute what one does: the whole batch's gradient, every example once."""

from pathlib import Path

import pytest
import torch

from skipwise.training import World, train
from tests.processes import together
from tests.training.shares import HANDED_ON, SCENARIOS, begun, ended, reached, run_of

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]


@pytest.fixture(scope="module", params=[2, 3], ids="{} processes".format)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    path = tmp_path_factory.mktemp("shares") / "found"
    together(request.param, "-m", "tests.training.shares", str(path))
    return [torch.load(f"{path}-{rank}") for rank in range(request.param)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_several_processes_give_the_numbers_of_one(name: str, found: list[dict]):
    alone = SCENARIOS[name](World())
    for rank in found:
        for mine, theirs in zip(alone, rank[name], strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-9, atol=1e-12)


def test_all_processes_hold_the_same_weights_bit_for_bit(found: list[dict]):
    for name in SCENARIOS:
        for first, other in zip(found[0][name], found[-1][name], strict=True):
            assert torch.equal(first, other)


@pytest.mark.parametrize(("before", "after"), [(1, [2]), (2, [1, 3])], ids=str)
def test_a_run_that_goes_on_with_another_number_of_processes_gives_the_numbers_of_one_alone(
    before: int, after: list[int], tmp_path: Path
):
    path = str(tmp_path / "found")
    if before == 1:
        begun(World(), tmp_path)
    else:
        together(before, "-m", "tests.training.shares", path, "begun")
    for ranks in after:
        if ranks == 1:
            ends = [ended(World(), tmp_path)]
        else:
            together(ranks, "-m", "tests.training.shares", path, "ended")
            ends = [torch.load(f"{path}-{rank}") for rank in range(ranks)]
        for name, changes in HANDED_ON.items():
            run = run_of(World(), **changes)
            alone = reached(run, list(train(run))[3:])
            for end in ends:
                torch.testing.assert_close(end[name], alone, rtol=1e-9, atol=1e-12)
