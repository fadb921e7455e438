"""On a GPU: the numbers of the processor, and no step that waits for the device."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch

from skipwise.data import Batches, InMemory, find_data
from skipwise.data.augmentations import (
    AlternatingFlip,
    CutMix,
    Cutout,
    Draw,
    Mixup,
    PadCrop,
    ProgressiveResize,
    QuarterTurn,
    RandomErasing,
    RandomResizedCrop,
    TrivialAugment,
)
from skipwise.data.preprocess import fit_preprocessing
from skipwise.experiment import Experiment, build
from skipwise.networks import resnet20
from skipwise.records import EvaluationRecord, StepRecord, evidence_from_text, read_journal
from skipwise.strategies import EMA, momentum, named_strategies
from skipwise.tasks import Classification
from skipwise.training import Compiling, Run, Step, evaluate, load_checkpoint, train
from skipwise.watch.monitors.judging import Recent
from tests.contracts.test_resume import an_experiment, assert_equal, cut_and_resumed, finished
from tests.processes import finished as ended
from tests.processes import torchrun
from tests.references import rings_file

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


def made(folder: Path, device: str, monkeypatch: pytest.MonkeyPatch, **changes) -> Run:
    data = find_data(str(rings_file(folder / "rings.npz")))
    monkeypatch.setattr(
        "skipwise.experiment.experiment.choose_device", lambda: torch.device(device)
    )
    told: dict[str, Any] = {"steps": 8, "batch_size": 32, "strategy": momentum()}
    told |= {"precision": "float32", "compile": "off", **changes}
    experiment = Experiment(data=data, network=resnet20(), **told)
    return build(experiment, data.load())[0]


def test_the_first_gradients_are_those_of_the_processor(tmp_path: Path, monkeypatch):
    norms = []
    for device in ("cpu", "cuda"):
        run = made(tmp_path, device, monkeypatch, steps=1)
        norms.append(float(next(train(run)).gradient_norm))
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)


def test_a_run_repeats_bit_for_bit(tmp_path: Path, monkeypatch):
    runs = [made(tmp_path, "cuda", monkeypatch, precision=p) for p in ("auto", "auto")]
    for run in runs:
        list(train(run))
    one, other = (run.model.state_dict() for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_losses_of_before_a_resume_stand_beside_those_of_the_device():
    recent = Recent(batch_size=2, dtype="float32")
    losses = torch.tensor([3.0, 2.0], device="cuda")
    options = {"gradient_norm": losses[0], "rate": 0.1, "examples": 2, "seconds": 0.1}
    recent.add(Step(step=1, loss=losses[0], **options))
    again = Recent(batch_size=2, dtype="float32")
    again.restore(recent.state())
    again.add(Step(step=2, loss=losses[1], **options))
    assert again.history().losses == (3.0, 2.0)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # torch's, once a process
@pytest.mark.parametrize(
    "name", ["momentum", "adamw-cosine", "muon", "sam", "lookahead", "ema", "agc-nf"]
)
def test_no_step_waits_for_the_device(name: str, tmp_path: Path, monkeypatch):
    changes = {"strategy": named_strategies()[name](), "precision": "auto", "class_weights": True}
    run = made(tmp_path, "cuda", monkeypatch, **changes)
    steps = train(run)
    next(steps)  # the first may set things up
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(5):
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_batches_made_on_the_device_are_those_of_the_processor():
    pictures = torch.randint(0, 256, (96, 3, 16, 16), dtype=torch.uint8)
    targets = torch.arange(96) % 4
    preprocessing = fit_preprocessing(pictures, size=(16, 16))
    changes = (
        RandomResizedCrop(),
        PadCrop(border="reflect"),
        AlternatingFlip(),
        QuarterTurn(),
        Cutout(),
        RandomErasing(probability=0.5),
        CutMix(probability=0.5),
        Mixup(),
    )
    for change in changes:
        of = []
        for device in map(torch.device, ("cpu", "cuda")):
            batches = Batches(
                InMemory(pictures, targets),
                preprocessing,
                size=32,
                seed=3,
                augmentation=(change,),
                classes=4,
                device=device,
            )
            assert isinstance(batches.examples, InMemory)
            assert batches.examples.device.type == device.type
            of.append([batches.at(step, progress=0.5) for step in range(5)])
        for host, gpu in zip(*of, strict=True):
            level = 1 / min(preprocessing.std) if change == RandomResizedCrop() else 0.0
            torch.testing.assert_close(gpu.inputs.cpu(), host.inputs, rtol=1e-5, atol=level + 1e-4)
            torch.testing.assert_close(gpu.targets.cpu(), host.targets)


def test_pictures_are_shrunk_on_the_device_to_within_one_grey_level():
    pictures = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8)
    keys = torch.zeros(8).long()
    draw = Draw(keys=keys, own=keys, passes=keys, progress=0.1)
    host = ProgressiveResize().apply(pictures, draw).int()
    device = ProgressiveResize().apply(pictures.cuda(), draw).cpu()
    assert device.dtype == torch.uint8
    assert (device.int() - host).abs().max() <= 1


def test_the_seconds_of_steps_are_those_of_the_device(tmp_path: Path, monkeypatch):
    run = made(tmp_path, "cuda", monkeypatch, steps=60)
    steps = train(run)
    for _ in range(10):
        next(steps)
    torch.cuda.synchronize()
    began = perf_counter()
    seconds = sum(step.seconds for step in steps)
    torch.cuda.synchronize()
    assert seconds == pytest.approx(perf_counter() - began, rel=0.2)


def test_an_evaluation_on_the_device_has_the_numbers_of_the_processor(tmp_path: Path, monkeypatch):
    found = []
    for device in ("cpu", "cuda"):
        run = made(tmp_path, device, monkeypatch, steps=1)
        data = find_data(str(tmp_path / "rings.npz")).load()
        task = Classification(classes=5)
        found.append(evaluate(run.model, data.train, data.preprocessing, task, part="train"))
    assert found[1].metrics == pytest.approx(found[0].metrics, rel=1e-3, abs=1e-3)


def test_policies_stay_on_the_processor():
    examples = InMemory(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4).long())
    batches = Batches(
        examples,
        fit_preprocessing(torch.rand(4, 3, 8, 8)),
        size=2,
        seed=0,
        augmentation=(TrivialAugment(),),
        device=torch.device("cuda"),
    )
    assert batches.examples is examples


def test_a_compiled_run_is_trained_like_an_eager_one(tmp_path: Path, monkeypatch):
    losses = []
    for choice in ("off", "on"):
        run = made(tmp_path, "cuda", monkeypatch)
        assert list(Compiling(run, choice).begin()) == []
        losses.append([float(step.loss) for step in train(run)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@pytest.mark.parametrize("averaging", [None, EMA(decay=0.9)], ids=["latest", "averaged"])
def test_a_whole_session_is_evaluated_saved_and_resumed_exactly(tmp_path: Path, averaging):
    strategy = replace(momentum(), averaging=averaging)
    experiment = an_experiment(tmp_path, strategy=strategy)
    whole = finished(experiment, tmp_path / "a")
    assert whole["device"] == "cuda"
    assert_equal(whole, cut_and_resumed(experiment, tmp_path / "b", 6))
    behind = evidence_from_text((tmp_path / "b" / "evidence.json").read_text()).parts
    assert set(behind) == {"validation", "test"}
    for part in behind.values():
        assert sum(count for _, _, count in part.confusion) == part.examples


SMALL = (
    "--network resnet20 --set network.width=4 --set network.blocks=[1,1] --batch-size 32"
    " --steps 20 --set precision=float32 --json"
).split()
BOTH = ("--sync-norms", "--shard")


def first_step(run: Path) -> StepRecord:
    return next(e for e in read_journal(run / "metrics.jsonl") if isinstance(e, StepRecord))


@pytest.mark.processes
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two CUDA devices here")
@pytest.mark.parametrize("words", [(), *((word,) for word in BOTH), BOTH])
def test_several_gpus_evaluate_save_and_resume_exactly(tmp_path: Path, words: tuple[str, ...]):
    data, gpus = str(rings_file(tmp_path / "rings.npz")), torch.cuda.device_count()
    train_it = ("train", data, *SMALL, "--out")
    code, out, err = ended(torchrun(gpus, *train_it, "run", *words), 300)
    assert code == 0, err
    assert json.loads(out)["finished"]
    shutil.copytree("run", "again")
    Path("again/last.ckpt").unlink()  # as if it had been killed after the save before
    assert load_checkpoint(Path("again/before.ckpt"))["run"]["step"] < 20
    code, _, err = ended(torchrun(gpus, "resume", "again", "--json"), 300)
    assert code == 0, err
    assert_equal(*(load_checkpoint(Path(run, "last.ckpt")) for run in ("run", "again")))
    events = read_journal(Path("again/metrics.jsonl"))
    tested = [e.examples for e in events if isinstance(e, EvaluationRecord) and e.part == "test"]
    assert tested == [50]
    if "--sync-norms" in words:  # then they compute what one does
        code, _, err = ended(torchrun(1, *train_it, "one"), 300)
        assert code == 0, err
        several, one = (first_step(Path(run)) for run in ("run", "one"))
        assert several.loss == pytest.approx(one.loss, rel=1e-3)
        assert several.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-3)
