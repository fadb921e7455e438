"""What needs several processes or a GPU, and what becomes of a run that has them no more."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from skipwise.connections import Additive
from skipwise.description import write_yaml
from skipwise.diagnosing import patient_of_run
from skipwise.experiment import Experiment, build
from skipwise.networks import resnet20
from skipwise.provenance import conditions, no_longer_exact
from skipwise.records import NoteRecord
from skipwise.runs import experiment_of, go_on
from skipwise.strategies import EMA, muon, nesterov
from skipwise.training import (
    World,
    can_shard,
    check_shares,
    load_checkpoint,
    repeated_blocks,
    save_checkpoint,
    sharded,
    share_statistics,
)
from skipwise.training.processes import named_world
from tests.contracts.test_resume import an_experiment, assert_equal, finished

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ONE, TWO = World(), World(size=2)


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.mark.parametrize(
    ("model", "device", "world", "why"),
    [
        (normed(), GPU, ONE, "--sync-norms needs several processes; start them with torchrun"),
        (nn.Linear(2, 2), GPU, TWO, "no effect on a network without batch norms; leave it out"),
        (normed(), CPU, TWO, "--sync-norms needs GPUs"),
    ],
)
def test_norms_that_cannot_be_synchronised_are_refused_in_a_new_run(model, device, world, why):
    with pytest.raises(ValueError, match=why):
        share_statistics(model, device, world, synchronised=True, resumed=False)
    same, _ = share_statistics(model, device, world, synchronised=True, resumed=True)
    assert same is model


def test_norms_of_several_gpus_are_synchronised():
    for resumed in (False, True):
        model, said = share_statistics(normed(), GPU, TWO, synchronised=True, resumed=resumed)
        assert [type(part) for part in model.children()] == [nn.Conv2d, nn.SyncBatchNorm]
        assert said == ()


def test_of_several_processes_it_is_said_whose_statistics_norms_have():
    told = {"synchronised": False, "resumed": False}
    (said,) = share_statistics(normed(), CPU, TWO, **told)[1]
    assert said.startswith("each of the 2 processes normalises by the statistics of its own share")
    assert share_statistics(nn.Linear(2, 2), CPU, TWO, **told)[1] == ()
    assert share_statistics(normed(), CPU, ONE, **told)[1] == ()


def test_every_process_has_something_to_do():
    three = World(size=3)
    check_shares(three, batch=6, parts=2, held={"validation": 3})
    check_shares(ONE, batch=1, parts=9, held={"validation": 0})
    for numbers, why in (
        ({"batch": 6, "parts": 2, "held": {"test": 2}}, "the test part has 2 .* start at most 2"),
        ({"batch": 2, "parts": 1, "held": {}}, "a batch of 2 is too small for 3 .* at most 2"),
        ({"batch": 5, "parts": 2, "held": {}}, "a batch of 5 cannot be cut into 2 parts on each"),
    ):
        with pytest.raises(ValueError, match=why):
            check_shares(three, **numbers)


def test_what_looks_at_whole_parameters_is_not_shared():
    assert can_shard(TWO, nesterov(), resumed=False)
    assert not can_shard(ONE, nesterov(), resumed=True)
    for strategy, why in (
        (replace(nesterov(), averaging=EMA()), "shard and strategy.averaging do not go together"),
        (muon(), "shard and Muon do not go together: it looks at whole parameters"),
    ):
        with pytest.raises(ValueError, match=why):
            can_shard(TWO, strategy, resumed=False)


def test_one_process_cannot_begin_what_is_for_several(tmp_path: Path):
    for setting in ("shard", "sync_norms"):
        experiment = replace(an_experiment(tmp_path), **{setting: True})
        with pytest.raises(ValueError, match="needs several processes"):
            build(experiment, experiment.data.load())


def of_several(folder: Path, experiment: Experiment) -> None:
    """Make a run's folder that of a run with shares and synchronised norms; its files are alike."""
    described = replace(experiment, shard=True, sync_norms=True)
    (folder / "experiment.yaml").write_text(write_yaml(described))


def test_a_run_of_several_processes_goes_on_and_is_diagnosed_in_one(tmp_path: Path):
    experiment = an_experiment(tmp_path)
    finished(experiment, tmp_path / "run")
    of_several(tmp_path / "run", experiment)
    assert experiment_of(tmp_path / "run").shard
    with patient_of_run(tmp_path / "run") as patient:
        state = load_checkpoint(tmp_path / "run" / "last.ckpt")["run"]["model"]
        for name, value in patient.model.state_dict().items():
            assert torch.equal(value, state[name]), name
    session, _ = go_on(tmp_path / "run", steps=16)
    list(session.events())
    finished(experiment, tmp_path / "plain")
    list(go_on(tmp_path / "plain", steps=16)[0].events())
    assert_equal(*(load_checkpoint(tmp_path / name / "last.ckpt") for name in ("run", "plain")))


def notes_after(folder: Path, **saved: str | None) -> list[str]:
    """Give what a run says that goes on after its last save was made under these conditions."""
    state = load_checkpoint(folder / "last.ckpt")
    for name, value in saved.items():
        state[name] = value
        if value is None:
            del state[name]
    save_checkpoint(folder, state)
    session, _ = go_on(folder, steps=state["run"]["step"] + 1)
    return [event.text for event in session.events() if isinstance(event, NoteRecord)]


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path: Path):
    whole = finished(an_experiment(tmp_path, precision="float32"), tmp_path / "run")
    assert (whole["device"], whole["precision"]) == ("cpu", "float32")
    assert notes_after(tmp_path / "run") == []
    assert notes_after(tmp_path / "run", device=None, precision=None) == []  # an old save
    (said,) = notes_after(tmp_path / "run", device="cuda", precision="bfloat16")
    assert said.startswith("the run was computed in bfloat16 on cuda and goes on in float32 on cpu")


def test_a_run_whose_norms_are_synchronised_no_more_says_so(tmp_path: Path):
    experiment = replace(an_experiment(tmp_path), sync_norms=True)
    run, _ = build(replace(experiment, sync_norms=False), experiment.data.load())
    run.world = TWO
    (said,) = no_longer_exact(conditions(run), run, experiment)
    assert said.startswith("torch synchronises batch norms on GPUs only")
    run.world = ONE
    assert no_longer_exact(conditions(run), run, experiment) == ()


def test_ranks_count_from_0(monkeypatch: pytest.MonkeyPatch):
    for name, number in (("RANK", "2"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, number)
    with pytest.raises(ValueError, match="RANK=2 must be less than WORLD_SIZE=2"):
        named_world()


@pytest.mark.parametrize("port", ["abc", "65536", "-1"])
def test_a_port_that_is_none_is_named(port: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"MASTER_PORT={port} is no port"):
        named_world()
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert named_world() == TWO
    monkeypatch.delenv("MASTER_PORT")
    assert named_world() == TWO  # the rendezvous says what is missing


def test_a_single_number_is_not_cut_into_shares(tmp_path: Path):
    network = replace(resnet20(), width=4, blocks=(1, 1), connection=Additive(learned=True))
    experiment = an_experiment(tmp_path, network=network)
    model = build(experiment, experiment.data.load())[0].model
    with pytest.raises(ValueError, match=r"shard cuts .* and trunk\..* is a single number; leave"):
        sharded(model, [], TWO, CPU)


def layer() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


class Holding(nn.Module):
    """A user's own network: a stem, layers in lists, perhaps two that share a weight."""

    def __init__(self, *, tied: bool = False):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.stages = nn.ModuleList([nn.ModuleList([layer(), layer()]), nn.ModuleList([layer()])])
        inner = nn.Linear(4, 4)
        self.one = nn.Sequential(inner, nn.BatchNorm1d(4))
        if tied:
            self.head.weight = inner.weight


def test_what_repeats_in_a_network_is_gathered_by_itself():
    model = Holding()
    stages = [m for m in model.modules() if isinstance(m, nn.Sequential) and m is not model.one]
    assert repeated_blocks(model) == stages  # and neither their linear maps nor one of a kind
    assert repeated_blocks(Holding(tied=True)) == []
    assert repeated_blocks(nn.Linear(2, 2)) == []
    assert repeated_blocks(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))) == []
