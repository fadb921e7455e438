"""Cores are shared out so that decoding and training take equally long."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from skipwise.data import InMemory
from skipwise.strategies import momentum
from skipwise.training import Threads
from skipwise.training.policies import shared_out
from tests.training.policies.test_compiling import normed
from tests.training.test_loop import DATA, a_run


@pytest.mark.parametrize(
    ("cores", "decoding", "gradient", "wanted"),
    [
        (2, 0.1, 1.0, (2, 1)),  # decoding hardly matters: all threads train
        (2, 2.0, 1.0, (1, 1)),
        (8, 8.0, 1.0, (4, 4)),
        (8, 1000.0, 0.001, (1, 7)),
        (1, 5.0, 1.0, (1, 1)),
    ],
)
def test_both_take_equally_long_where_the_cores_allow_it(cores, decoding, gradient, wanted):
    threads, workers = shared_out(cores, decoding=decoding, gradient=gradient)
    assert (threads, workers) == wanted


def test_no_other_share_of_many_cores_is_quicker():
    cores, decoding, gradient = 64, 20.0, 0.7
    threads, _ = shared_out(cores, decoding=decoding, gradient=gradient)

    def step(train: int) -> float:
        return max(gradient * cores / train, decoding / (cores - train))

    assert step(threads) <= 1.02 * min(step(train) for train in range(1, cores))


def test_data_in_memory_leave_the_threads_alone():
    run = a_run(momentum())
    before = torch.get_num_threads()
    with Threads(run).shared() as said:
        assert said is None
        assert torch.get_num_threads() == before


def test_measuring_leaves_no_trace_and_the_choice_is_state():
    run = a_run(momentum(), model=normed())
    examples = InMemory(*DATA.train.gather(torch.arange(60)))
    examples.workers = 3
    run.batches.examples = examples
    kept = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    first, again = Threads(run), Threads(run)
    before = torch.get_num_threads()
    with first.shared() as said:
        assert said is not None
        assert torch.get_num_threads() == first.state()["decided"][0]
    assert torch.get_num_threads() == before
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, kept[name])
    assert all(p.grad is None for p in run.model.parameters())
    again.restore({"decided": (1, 5)})
    with threads(6), again.shared():
        assert (torch.get_num_threads(), examples.workers) == (1, 5)


def test_a_run_that_breaks_gives_the_threads_back():
    run = a_run(momentum(), model=normed())
    run.batches.examples = InMemory(*DATA.train.gather(torch.arange(60)))
    run.batches.examples.workers = 3
    policy = Threads(run)
    policy.restore({"decided": (1, 5)})
    with threads(6):
        with pytest.raises(KeyboardInterrupt), policy.shared():
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 6


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Have torch believe in so many cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("decided", "cores", "kept"),
    [
        ((7, 5), 12, True),
        ((12, 1), 12, True),  # one decodes beside all
        ((1, 1), 1, True),
        ((7, 5), 64, True),  # as the run began, although there are more
        ((7, 5), 2, False),
        ((1, 2), 2, False),
        ((3, 1), 2, False),
    ],
)
def test_threads_that_are_not_there_are_decided_anew(decided, cores: int, kept: bool):
    run = a_run(momentum(), model=normed())
    held = InMemory(*DATA.train.gather(torch.arange(20)))
    run.batches.examples = InMemory(*DATA.train.gather(torch.arange(60)))
    run.batches.examples.workers = held.workers = 3
    policy = Threads(run, (held, None))
    policy.restore({"decided": decided})
    with threads(cores), policy.shared() as said:
        assert said is not None
        now = torch.get_num_threads(), run.batches.examples.workers
        assert held.workers == now[1]  # evaluations decode by as many
    assert policy.state()["decided"] == now
    assert (now == decided) is kept
    assert now[0] <= cores
    assert now[1] <= max(cores - now[0], 1)
    assert ("differs from one that kept them by the order of sums" in said) is not kept
