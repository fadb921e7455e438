"""What a run asks a Ray cluster for, and what is said where no node has it."""

import pytest

from skipwise.studies.compare import threads_of
from skipwise.studies.launchers.nodes import host_and_port, share


def node(*, alive: bool = True, **resources: float) -> dict:
    return {"Alive": alive, "Resources": {"memory": 1e9, **resources}}


def test_nodes_do_as_many_runs_as_their_processors_allow():
    nodes = [node(CPU=4.0), node(CPU=3.0), node(alive=False, CPU=64.0), node()]
    assert share(nodes, 1) == ({"num_cpus": 1}, 7)
    assert share(nodes, 2) == ({"num_cpus": 2}, 3)


def test_where_there_are_gpus_a_run_takes_one():
    nodes = [node(CPU=16.0, GPU=2.0), node(CPU=8.0)]
    assert share(nodes, 1) == ({"num_cpus": 1, "num_gpus": 1}, 2)


def test_a_run_that_no_node_could_ever_do_is_one_sentence():
    with pytest.raises(ValueError, match=r"has the 4 processors that .* \(the most .* are 2\)"):
        share([node(CPU=2.0), node(CPU=2.0)], 4)
    with pytest.raises(ValueError, match="the 2 processors and a GPU that a run"):
        share([node(CPU=8.0), node(CPU=1.0, GPU=1.0)], 2)
    with pytest.raises(ValueError, match=r"the 1 processor that .* are 0\)"):
        share([node()], 1)


@pytest.mark.parametrize("address", ["auto", "foo", "host:", ":6379", "host:port"])
def test_what_is_no_address_is_one_sentence(address: str):
    with pytest.raises(ValueError, match="is no address of a Ray cluster; give host:port"):
        host_and_port(address)


def test_a_run_on_a_cluster_takes_one_thread_unless_somebody_says_so(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    assert (threads_of(None, None), threads_of(2, None), threads_of(9, None)) == (8, 4, 1)
    assert (threads_of(None, "local"), threads_of(1, "local"), threads_of(4, "local")) == (1, 8, 2)
