"""A study's folder: what is settled stays so, and a run's folder follows from what the run is."""

import dataclasses
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skipwise
from skipwise.comparison import ArmRun, StudyRecord, compare, conclusion, extension
from skipwise.comparison.tables import CHANGED
from skipwise.data import Arrays, Dataset
from skipwise.description import Call
from skipwise.experiment import compose
from skipwise.files import STUDY
from skipwise.networks import AutoStem, ResNet, SmallStem
from skipwise.studies import Study, read_study, study_folder, study_of
from skipwise.studies.plan import PLAN, opened, planned, same_study
from skipwise.studies.results import design_of
from tests.references import rings_file
from tests.studies.small import NETWORK, momentum, sgd, small_study, with_steps


def settle(folder: Path, **facts: str | None) -> None:
    """Write other facts into a study's plan, or take them out."""
    settled = json.loads((folder / PLAN).read_text()) | facts
    kept = {name: value for name, value in settled.items() if value is not None}
    (folder / PLAN).write_text(json.dumps(kept))


def test_a_study_file_comes_back_as_it_was(tmp_path: Path):
    study, dataset = small_study(
        tmp_path, vary={"strategy.peak_lr": (0.1, 0.2)}, target=0.9, family=(("a", "b"),)
    )
    study = dataclasses.replace(study, family=None)
    opened(planned(study, dataset, tmp_path / "s", threads=1))
    assert read_study(tmp_path / "s" / STUDY) == study
    (tmp_path / "other.yaml").write_text("is: skipwise.networks.ResNet\nname: a\nblocks: [1]\n")
    with pytest.raises(ValueError, match=r"does not describe a study; its top must say"):
        read_study(tmp_path / "other.yaml")
    text = (tmp_path / "s" / STUDY).read_text().replace("seeds:", "seed:")
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"seed is not a field of Study; did you mean 'seeds'"):
        read_study(tmp_path / "wrong.yaml")


def test_the_folder_of_a_run_follows_from_all_that_decides_it(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    folders = {task.folder for task in planned(study, dataset, tmp_path / "s", threads=1).tasks()}
    again = {task.folder for task in planned(study, dataset, tmp_path / "s", threads=1).tasks()}
    assert folders == again
    assert len(folders) == 4
    longer = with_steps(study, 7)
    others = {task.folder for task in planned(longer, dataset, tmp_path / "s", threads=1).tasks()}
    changed = dataclasses.replace(dataset, digest="another")
    moved = {task.folder for task in planned(study, changed, tmp_path / "s", threads=1).tasks()}
    assert not folders & others
    assert not folders & moved


def test_runs_begin_seed_by_seed_and_every_other_one_backwards(tmp_path: Path):
    study, dataset = small_study(tmp_path, seeds=3)
    tasks = planned(study, dataset, tmp_path / "s", threads=1).tasks()
    assert [(task.arm, task.seed) for task in tasks] == [
        ("sgd", 0), ("momentum", 0), ("momentum", 1), ("sgd", 1), ("sgd", 2), ("momentum", 2),
    ]  # fmt: skip


def test_the_folder_of_another_study_is_refused_with_what_differs(tmp_path: Path):
    study, dataset = small_study(tmp_path, seeds=3)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    other = dataclasses.replace(
        study, strategies=(sgd(), dataclasses.replace(momentum(), peak_lr=0.2))
    )
    with pytest.raises(ValueError, match=r"strategies\[1\].peak_lr is 0.1 there and 0.2 here"):
        opened(planned(other, dataset, folder, threads=1))
    fewer = dataclasses.replace(study, seeds=2)
    with pytest.raises(ValueError, match="seeds is 3 there and 2 here"):
        opened(planned(fewer, dataset, folder, threads=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="not empty and no study"):
        opened(planned(study, dataset, tmp_path / "full", threads=1))


def test_what_was_settled_is_not_changed_by_editing_the_description(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    described = (folder / STUDY).read_text()
    for old, new, told in (
        ("steps: 6", "steps: 2", "experiment.steps is 6 there and 2 here"),
        ("margin: null", "margin: 0.5", "margin is nothing there and 0.5 here"),
        ("baseline: null", "baseline: momentum", "baseline is nothing there and momentum here"),
    ):
        assert old in described
        (folder / STUDY).write_text(described.replace(old, new))
        edited = read_study(folder / STUDY)
        with pytest.raises(ValueError, match=told):
            opened(planned(edited, dataset, folder, threads=1))
    # As it was declared it goes on, and its description is written again.
    opened(planned(study, dataset, folder, threads=1))
    assert (folder / STUDY).read_text() == described


def test_a_study_from_before_there_was_a_copy_goes_on_by_its_description(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    settle(folder, study=None)
    opened(planned(study, dataset, folder, threads=1))
    with pytest.raises(ValueError, match=r"experiment\.steps is 6 there and 9 here"):
        opened(planned(with_steps(study, 9), dataset, folder, threads=1))


def test_data_and_versions_that_changed_are_refused(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    changed = dataclasses.replace(dataset, digest="0123")
    with pytest.raises(ValueError, match=r"the data changed since .* was begun"):
        opened(planned(study, changed, folder, threads=1))
    settle(folder, version="0.0.9")
    with pytest.raises(ValueError, match=r"begun by skipwise 0\.0\.9 and this is"):
        opened(planned(study, dataset, folder, threads=1))
    (folder / PLAN).unlink()
    with pytest.raises(ValueError, match="cannot be read, so what the study had settled"):
        opened(planned(study, dataset, folder, threads=1))


def test_a_users_own_code_that_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = tmp_path / "of_users" / "blocks.py"
    blocks.parent.mkdir()
    blocks.write_text("block = 1\n")
    (blocks.parent / "nets.py").write_text("import torch\nfrom . import blocks\n")
    monkeypatch.syspath_prepend(tmp_path)
    networks = (NETWORK, Call(target="of_users.nets:net"))
    study, dataset = small_study(tmp_path, networks=networks)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    (blocks.parent / "another.py").touch()
    opened(planned(study, dataset, folder, threads=1))
    blocks.write_text("block = 2\n")
    with pytest.raises(ValueError, match=r"the code of of_users.blocks changed since .*; give it"):
        opened(planned(study, dataset, folder, threads=1))
    settle(folder, code=None)
    opened(planned(study, dataset, folder, threads=1))


@pytest.mark.parametrize(
    ("fact", "other", "told"),
    [
        ("device", "NVIDIA H200", r"begun on NVIDIA H200 and this is a processor, so its"),
        ("precision", "float16", r"begun in float16 and this machine computes in "),
    ],
)
def test_a_study_goes_on_where_it_computes_alike(tmp_path: Path, fact: str, other: str, told: str):
    study, dataset = small_study(tmp_path)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    settle(folder, **{fact: other})
    with pytest.raises(ValueError, match=told):
        opened(planned(study, dataset, folder, threads=1))
    opened(planned(study, dataset, folder, threads=1, on_cluster=True))


def test_more_seeds_go_on_in_the_same_folder_and_are_kept_in_mind(tmp_path: Path):
    study, dataset = small_study(tmp_path, seeds=2)
    folder = tmp_path / "s"
    before = opened(planned(study, dataset, folder, threads=1)).tasks()
    longer = dataclasses.replace(study, seeds=4)
    plan = opened(planned(longer, dataset, folder, threads=1))
    assert {task.folder for task in before} < {task.folder for task in plan.tasks()}
    assert plan.facts["earlier_seeds"] == [2]
    assert read_study(folder / STUDY).seeds == 4
    longest = dataclasses.replace(study, seeds=6)
    design = design_of(opened(planned(longest, dataset, folder, threads=1)), jobs="")
    words = extension(design)
    assert "planned with 2, then 4 seeds and has 6 now" in words
    assert "is up to 15 %, not 5 %" in words
    assert "at most 0.017" in words
    assert words in conclusion(compare(StudyRecord(design=design)))
    assert extension(design_of(planned(study, dataset, tmp_path / "t", threads=1), jobs="")) == ""


def test_no_run_scores_worse_than_a_share_of_nothing(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    plan = planned(study, dataset, tmp_path / "s", threads=1)
    design = design_of(plan, jobs="")
    scores = {("sgd", 0): 0.9, ("sgd", 1): math.nan, ("momentum", 0): 0.1, ("momentum", 1): 0.8}
    runs = tuple(ArmRun(arm=arm, seed=seed, score=s) for (arm, seed), s in scores.items())
    assert compare(StudyRecord(design=design, runs=runs)).worst == {"tiny": 0.0}
    losses = design_of(dataclasses.replace(plan, metric="loss", higher=False), jobs="")
    assert losses.worst is None


def test_a_users_own_network_may_be_called_as_a_function_of_ours(tmp_path: Path):
    other = dataclasses.replace(momentum(), peak_lr=0.3)
    networks = (Call(target="users:build_network"), NETWORK)
    study, dataset = small_study(tmp_path, sgd(), other, networks=networks)
    facts = design_of(planned(study, dataset, tmp_path / "s", threads=1), jobs="").facts
    assert [v for k, v in facts.items() if k.startswith(CHANGED)] == ["peak_lr=0.3"]


def test_the_command_of_a_study_can_be_pasted(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    plan = planned(study, dataset, Path("my studies/s"), threads=1)
    command = design_of(plan, jobs="").facts["command"]
    assert command == "skipwise compare 'my studies/s/study.yaml'"


def test_the_same_study_is_found_again_below_studies(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    first = study_folder(study, tmp_path / "studies")
    assert first.name == "rings-1"
    opened(planned(study, dataset, first, threads=1))
    assert study_folder(study, tmp_path / "studies") == first
    assert study_folder(with_steps(study, 9), tmp_path / "studies").name == "rings-2"


def test_a_folder_that_was_killed_before_its_description_is_taken(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    (folder / STUDY).unlink()
    (folder / f".{STUDY}.0123abcd.draft").touch()
    assert opened(planned(study, dataset, folder, threads=1)).folder == folder


def test_a_folder_from_before_there_was_halving_is_still_the_same_study(tmp_path: Path):
    study, dataset = small_study(tmp_path, trials=4)
    folder = tmp_path / "s"
    opened(planned(study, dataset, folder, threads=1))
    text = (folder / STUDY).read_text()
    assert "halving: false\n" in text
    (folder / STUDY).write_text(text.replace("halving: false\n", ""))
    assert same_study(folder, study)
    assert opened(planned(study, dataset, folder, threads=1)).folder == folder
    halved = dataclasses.replace(study, halving=True)
    with pytest.raises(ValueError, match="another study: halving is False there and True here"):
        opened(planned(halved, dataset, folder, threads=1))


def test_a_study_of_before_there_were_metric_and_loss_goes_on_with_its_runs(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    folder = tmp_path / "s"
    plan = opened(planned(study, dataset, folder, threads=1))
    for name in (STUDY, PLAN):
        text = (folder / name).read_text()
        old = text.replace("  metric: null\n", "").replace('   "metric": null,\n', "")
        assert old != text
        younger = old
        old = re.sub(r'\n *"?loss"?: "?cross-entropy"?,?(?=\n)', "", old)
        assert len(re.findall("cross-entropy", younger)) > len(re.findall("cross-entropy", old))
        (folder / name).write_text(old)
    assert same_study(folder, study)
    assert opened(planned(study, dataset, folder, threads=1)).folder == folder
    task = plan.tasks()[0]
    text = task.experiment.replace("metric: null\n", "").replace("  loss: cross-entropy\n", "")
    marks = "\n".join((text, dataset.digest, str(plan.facts["version"])))
    assert task.folder.endswith(hashlib.sha256(marks.encode()).hexdigest()[:10])
    judged = dataclasses.replace(study.experiment, metric="f1")
    other = dataclasses.replace(study, experiment=judged)
    with pytest.raises(ValueError, match=r"experiment\.metric is nothing there and f1 here"):
        opened(planned(other, dataset, folder, threads=1))


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A run on bright rings."""
    rings = Arrays(path=str(rings_file(tmp_path / "bright.npz", 120)))
    settings = {"steps": 2, "batch_size": 32, "quiet": True, "report": False}
    return skipwise.train(rings, NETWORK, sgd(), out=str(tmp_path / "base"), **settings).path


def dark(tmp_path: Path) -> str:
    with np.load(tmp_path / "bright.npz") as arrays:
        np.savez(tmp_path / "dark.npz", x=arrays["x"] // 4, y=arrays["y"])
    return str(tmp_path / "dark.npz")


def preprocessings(study: Study, dataset: Dataset, folder: Path) -> list[Any]:
    arms = planned(study, dataset, folder, threads=1).arms
    return [arm.experiment.preprocessing for arm in arms]


def test_every_arm_reads_what_the_weights_were_trained_to_read(base: str, tmp_path: Path):
    data, wanted = dark(tmp_path), skipwise.load(base).preprocessing
    other = dataclasses.replace(NETWORK, name="other", stem=AutoStem())
    for networks in (None, [NETWORK, other]):
        strategies = [sgd(), momentum()]
        study, dataset = study_of(data, networks, strategies, weights=base, steps=2)
        found = preprocessings(study, dataset, tmp_path / "s")
        assert [each.mean for each in found] == [wanted.mean] * len(found)
        assert dataset.preprocessing.mean[0] < wanted.mean[0] / 2
        named = None if networks is None else networks[0]
        alone, _ = compose(data, named, sgd(), weights=base, steps=2)
        assert study.networks[0] == alone.network
    assert isinstance(study.networks[1], ResNet)
    assert study.networks[1].stem == SmallStem()
    by_hand = dataclasses.replace(study.experiment, preprocessing=None)
    study = dataclasses.replace(study, experiment=by_hand)
    assert preprocessings(study, dataset, tmp_path / "s") == found


def test_weights_that_are_varied_decide_for_their_own_arms(base: str, tmp_path: Path):
    vary = {"weights": (None, base)}
    study, dataset = study_of(dark(tmp_path), NETWORK, sgd(), vary=vary, steps=2)
    anew, begun = preprocessings(study, dataset, tmp_path / "s")
    assert anew is None
    assert begun.mean == skipwise.load(base).preprocessing.mean


def test_weights_that_changed_are_refused(base: str, tmp_path: Path):
    data, folder, file = dark(tmp_path), tmp_path / "s", Path(base, "best.safetensors")
    study, dataset = study_of(data, None, [sgd(), momentum()], weights=base, steps=2)
    plan = opened(planned(study, dataset, folder, threads=1))
    assert plan.facts["weights"] == {base: hashlib.sha256(file.read_bytes()).hexdigest()[:16]}
    opened(planned(study, dataset, folder, threads=1))
    other = skipwise.train(data, NETWORK, sgd(), steps=3, batch_size=32, quiet=True)
    file.write_bytes(Path(other.path, "best.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"the weights in .*base changed since .*; give them back"):
        opened(planned(study, dataset, folder, threads=1))
    file.unlink()
    with pytest.raises(ValueError, match=r"the weights in .*base changed since .*; give them back"):
        opened(planned(study, dataset, folder, threads=1))
    settle(folder, weights=None)  # a study from before they were looked at
    opened(planned(study, dataset, folder, threads=1))


def test_a_study_that_python_made_goes_on_by_its_file_in_the_same_folders(tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    vary = {"network.blocks": [[1], [1, 1]]}
    study, dataset = study_of(data, NETWORK, [sgd(), momentum()], vary=vary, epochs=1, margin=1)
    plan = opened(planned(study, dataset, tmp_path / "s", threads=1))
    read = read_study(tmp_path / "s" / STUDY)
    again = opened(planned(read, dataset, tmp_path / "s", threads=1))
    assert [task.folder for task in again.tasks()] == [task.folder for task in plan.tasks()]
    assert [arm.name for arm in again.arms] == [arm.name for arm in plan.arms]
