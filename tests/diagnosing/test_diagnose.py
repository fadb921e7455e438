"""Runs, networks and modules are found, built and examined as they were trained; files stay."""

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import skipwise
from skipwise.analysis import weights_of
from skipwise.diagnosing import diagnose, patient_of_network, patient_of_run
from skipwise.diagnosis import Level, Reader
from skipwise.experiment import build
from skipwise.networks import ResNet
from skipwise.records import StepRecord, read_journal
from skipwise.runs import experiment_of
from skipwise.strategies import Constant, WarmupLinear, adam, lbfgs, nesterov
from skipwise.training import newest_checkpoint
from tests.references import rings_file

NETWORK = ResNet(name="small", blocks=(1, 1), width=4)


def trained(out: str, **settings: Any) -> Path:
    settings = {"steps": 6, "batch_size": 32, "quiet": True, "report": False, **settings}
    data = str(rings_file(Path("rings.npz")))
    skipwise.train(data, NETWORK, settings.pop("strategy", None), out=out, **settings)
    return Path(out)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_is_examined_and_nothing_of_it_is_changed():
    run = trained("run")
    before = files(run)
    found = diagnose(run)
    after = files(run)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"diagnosis.json", "diagnosis.html"}
    plain = json.loads(after["diagnosis.json"])
    assert plain == json.loads(json.dumps(found.as_plain()))
    assert [v["rule"] for v in plain["verdicts"]] == [f"V{n}" for n in range(14)]
    assert plain["facts"]["state"] == "finished"
    assert plain["facts"]["trained"] is True


def test_a_run_is_taken_up_as_it_is_trained():
    run = trained("run", strategy=nesterov(), steps=8)
    experiment = experiment_of(run)
    dataset = experiment.data.load()
    state, _ = newest_checkpoint(run)
    assert state is not None
    begun, _ = build(experiment, dataset)
    with patient_of_run(run) as patient:
        now = patient.model.state_dict()
        assert all(torch.equal(now[n], t) for n, t in state["run"]["model"].items())
        start = weights_of(begun.model)
        assert patient.start is not None
        assert all(torch.equal(patient.start[name], tensor) for name, tensor in start.items())
        assert patient.history is not None
        assert patient.history.steps == tuple(range(1, 9))
        # Its optimiser has its momentum, and the rate of the last update that was taken.
        events = read_journal(run / "metrics.jsonl")
        rates = [e.rate for e in events if isinstance(e, StepRecord)]
        assert isinstance(patient.optimiser, torch.optim.Optimizer)
        assert patient.optimiser.param_groups[0]["lr"] == pytest.approx(rates[-1])
        assert patient.optimiser.state
        # The loss is the task's mean, of examples as they lie in the training part.
        inputs, targets = patient.batches[0]
        with torch.no_grad():
            output = patient.model.eval()(inputs)
            expected = nn.functional.cross_entropy(output, targets)
            assert patient.loss(output, targets).item() == pytest.approx(expected.item(), rel=1e-6)
        raw, labels = dataset.train.gather(torch.arange(len(dataset.train)))
        plain = dataset.preprocessing(raw)
        row = int((plain - inputs[0]).flatten(1).norm(dim=1).argmin())
        assert torch.equal(plain[row], inputs[0])
        assert labels[row] == targets[0]


def test_batches_come_as_training_would_see_them_next_and_plain_ones_once():
    run = trained("run", augmentation=())
    experiment = experiment_of(run)
    begun, _ = build(experiment, experiment.data.load())
    with patient_of_run(run) as patient:
        ahead = begun.batches.at(6)
        assert torch.equal(patient.updated_on[0][0], ahead.inputs)
        seen = torch.cat([inputs for inputs, _ in patient.batches]).flatten(1)
        assert len(seen.unique(dim=0)) == len(seen)


def test_a_run_that_was_killed_is_examined_as_of_its_last_save():
    run = trained("run")
    journal = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(journal[:-2]) + '{"event": "step", "st')
    (run / "evidence.json").unlink()
    (run / "metrics.csv").unlink()
    found = diagnose(run)
    assert found.facts["state"] == "running"
    assert "last save" in found.facts["weights"]
    (run / "last.ckpt").write_bytes(b"damaged")
    assert (run / "before.ckpt").exists()
    assert diagnose(run).facts["step"] <= 6
    for name in ("last.ckpt", "before.ckpt"):
        (run / name).unlink()
    assert "best.safetensors" in diagnose(run).facts["weights"]
    (run / "best.safetensors").unlink()
    with pytest.raises(ValueError, match="run holds no weights yet: neither a checkpoint nor best"):
        diagnose(run)


def test_a_run_that_diverged_is_accused_of_it():
    with pytest.raises(ValueError, match="diverged"):
        trained("run", strategy=replace(skipwise.sgd(), peak_lr=1e30))
    found = diagnose("run")
    assert found.verdicts[0].rule == "V0"
    assert found.verdicts[0].level is Level.FAIL


def test_data_that_changed_are_refused():
    run = trained("run")
    rings_file(Path("rings.npz"), examples=200)
    with pytest.raises(ValueError, match="the data of run changed since it was trained"):
        diagnose(run)


@pytest.mark.parametrize("data", [None, "rings.npz"])
def test_a_folder_that_is_no_run(data: str | None):
    Path("folder").mkdir()
    with pytest.raises(ValueError, match=r"folder is not a run: it has no experiment\.yaml"):
        diagnose("folder", data=data and str(rings_file(Path(data))))


def test_a_network_is_examined_before_it_is_trained():
    data = str(rings_file(Path("rings.npz")))
    found = diagnose(NETWORK, data=data, strategy=adam())
    assert found.facts["trained"] is False
    assert found.facts["strategy"] == "adam"
    assert found.facts["weights"] == "as they are before the first update"
    assert not Path("diagnosis.json").exists()
    diagnose(NETWORK, data=data, out="there")
    assert Path("there/diagnosis.json").exists()


def test_under_a_warm_up_the_rate_that_is_judged_is_not_its_first():
    data, steps = str(rings_file(Path("rings.npz"))), 100
    strategy = replace(nesterov(), schedule=WarmupLinear(warmup=0.5))
    with patient_of_network(NETWORK, data, strategy, steps=steps) as patient:
        rate = patient.facts["rate"]
    assert strategy.rate(0, steps) < 0.1 * strategy.peak_lr <= rate < 0.2 * strategy.peak_lr


def test_a_factor_on_the_rate_of_a_role_is_no_part_of_the_schedule():
    run = trained("run", strategy=replace(nesterov(), rates={"norm": 10.0}), steps=8)
    found = diagnose(run)
    events = read_journal(run / "metrics.jsonl")
    last = [e.rate for e in events if isinstance(e, StepRecord)][-1]
    assert found.facts["rate"] == pytest.approx(last)
    assert found.verdicts[3].numbers["rate"] == pytest.approx(last)


def test_weights_from_elsewhere_are_no_start_of_the_weights():
    first = trained("first")
    run = trained("second", weights=str(first / "best.safetensors"))
    found, own = diagnose(run), diagnose(first)
    assert "signal at the start" in own.measurements
    assert "signal at the start" not in found.measurements
    assert found.verdicts[13].level is Level.UNKNOWN
    assert "layer rotation" in found.measurements


def test_before_training_the_rate_that_is_judged_is_that_of_its_batches():
    data = str(rings_file(Path("rings.npz")))
    for_more = {"rate_batch": 320, "rate_rule": "linear"}
    strategy = replace(nesterov(), schedule=Constant(), **for_more)
    with patient_of_network(NETWORK, data, strategy, batch_size=32) as patient:
        assert patient.facts["rate"] == pytest.approx(0.1 * strategy.peak_lr)


def test_a_function_of_ones_own_makes_the_network(monkeypatch: pytest.MonkeyPatch):
    Path("mine.py").write_text(
        "from torch import nn\n"
        "def net(channels, classes):\n"
        "    row = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(3)]\n"
        "    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)\n"
        "    return nn.Sequential(nn.Conv2d(channels, 4, 3), *row, *ends)\n"
        "def nothing():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(".")
    data = str(rings_file(Path("rings.npz")))
    found = diagnose("mine:net", data=data)
    assert not [v.cure for v in found.verdicts if "network." in v.cure]
    assert found.facts["blocks"] == ("1", "2", "3")
    assert found.facts["trained"] is None
    with pytest.raises(ValueError, match=r"mine:nothing must return a torch\.nn\.Module, it retu"):
        diagnose("mine:nothing", data=data)
    with pytest.raises(ValueError, match="mine has no 'nett'; did you mean 'net'"):
        diagnose("mine:nett", data=data)


def test_what_has_no_effect_is_refused():
    model, pair = nn.Linear(2, 2), (torch.ones(4, 2), torch.arange(4) % 2)
    refused: list[tuple[tuple, dict[str, Any], str]] = [
        ((model,), {}, "a module needs batches"),
        ((model, pair), {"data": "digits"}, "data has no effect on a module"),
        ((NETWORK, pair), {"data": "digits"}, "batches has no effect on what is no module"),
        (("run",), {"strategy": adam()}, "strategy has no effect on a run"),
        ((3,), {}, "diagnose takes a run's folder"),
    ]
    for given, others, told in refused:
        with pytest.raises(TypeError, match=told):
            diagnose(*given, **others)
    with pytest.raises(ValueError, match="say what data the network is for"):
        diagnose(NETWORK)


def test_a_module_of_ones_own_is_examined_with_what_is_known_of_it():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(4)))
    pair = torch.randn(40, 4), torch.randn(40, 4)
    found = skipwise.diagnose(
        model,
        pair,
        loss=nn.functional.mse_loss,
        optimiser=torch.optim.SGD(model.parameters(), lr=0.1),
    )
    assert found.facts["of"] == "Sequential"
    assert found.measurements["rehearsal"].figures["rate"] == pytest.approx(0.1)
    assert math.isfinite(found.measurements["rehearsal"].figures["first loss"])


def test_a_run_may_be_moved():
    run = trained("run")
    shutil.move(run, "elsewhere")
    assert diagnose("elsewhere").facts["run"] == "elsewhere"


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    measured: list[str] = []
    for out in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "below"):
        with pytest.raises(ValueError, match="is no folder, so the diagnosis could not be written"):
            diagnose(
                exploding(),
                (torch.randn(8, 4), torch.arange(8) % 3),
                out=out,
                progress=measured.append,
            )
    assert not measured


def exploding() -> nn.Module:
    """Plain layers whose weights are twice as large as He's."""
    row = [nn.Sequential(nn.Linear(16, 16, bias=False), nn.ReLU()) for _ in range(12)]
    for layer in row:
        nn.init.normal_(layer.get_parameter("0.weight"), std=2 * math.sqrt(2 / 16))
    return nn.Sequential(nn.Linear(4, 16), *row, nn.Linear(16, 3))


def test_a_module_is_mended_by_lines_of_torch_and_a_network_of_ours_by_settings():
    pair = torch.randn(64, 4), torch.arange(64) % 3
    cures = [v.cure for v in diagnose(exploding(), pair).verdicts]
    assert "skipwise.Residual(block)" in cures[1]
    assert not [cure for cure in cures if "--" in cure or "strategy." in cure]
    with patient_of_network(NETWORK, str(rings_file(Path("rings.npz")))) as patient:
        assert patient.reader is Reader.RUN


def test_of_a_run_on_all_the_data_it_is_known_that_a_batch_is_all():
    for size, full in ((32, False), (10_000, True)):
        run = trained(f"run-{size}", batch_size=size, steps=1)
        with patient_of_run(run) as patient:
            assert patient.full_batch is full


def test_a_run_by_a_line_search_is_examined_with_the_statistics_that_it_is_evaluated_with():
    run = trained("run", strategy=lbfgs(), batch_size=1000, augmentation=(), steps=2)
    state, _ = newest_checkpoint(run)
    assert state is not None
    evaluated, left = state["run"]["average"], state["run"]["model"]
    with patient_of_run(run) as patient:
        for name, value in patient.model.state_dict().items():
            assert torch.equal(value, evaluated[name]), name
            assert ".running_" not in name or not torch.equal(value, left[name]), name


def test_a_strategy_is_no_optimiser():
    with pytest.raises(TypeError, match=r"got Strategy; .* strategy\.build\(model\)"):
        diagnose(exploding(), (torch.randn(8, 4), torch.arange(8) % 3), optimiser=adam())


def test_what_was_left_out_is_had_by_words_that_can_be_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["skipwise.diagnosis.examine"], "SECONDS", 1e-9)
    run = trained("run")
    for command, told in (("", "; deep=True gives 600"), ("skipwise diagnose run", "; --deep giv")):
        assert told in diagnose(run, command=command).failed["signal"]
