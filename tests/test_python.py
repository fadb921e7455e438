"""The Python side says what is wrong in a sentence, as the command line does."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import skipwise
from skipwise.data import Arrays, Digits, Flip, PadCrop, Shares, Views
from skipwise.experiment import Experiment, compose
from skipwise.records import EvaluationRecord, RunRecord
from skipwise.runs import experiment_of
from skipwise.strategies import SGD
from skipwise.studies.compare import study_of
from skipwise.training import load_checkpoint
from skipwise.tuning import Search
from tests.cli.commands import call, flat
from tests.references import rings_file
from tests.studies.small import NETWORK

QUICK: dict[str, Any] = {"batch_size": 32, "quiet": True, "report": False}


LINEAR = skipwise.networks.residual_linear()


def test_a_word_for_a_network_and_an_unknown_setting_are_refused():
    with pytest.raises(TypeError, match=r"skipwise.resnet20\(\) for example.*; got str"):
        skipwise.train("digits", network="resnet20")
    with pytest.raises(TypeError, match="no setting 'epoch'; did you mean 'epochs'"):
        skipwise.train("digits", epoch=1)
    for refused in (skipwise.train, skipwise.find_rate, skipwise.resume):
        with pytest.raises(TypeError, match="no setting 'time'; did you mean 'seconds'"):
            refused("digits", time=15)
    with pytest.raises(TypeError, match="no setting 'time'; did you mean 'seconds'"):
        skipwise.compare("digits", seeds=2, time=15)
    assert not Path("runs").exists()


def test_words_of_the_command_line_stand_for_augmentations_and_views(tmp_path: Path):
    found, _ = compose("digits", augmentation="pad-crop,flip", views="crops")
    assert found.augmentation == (PadCrop(), Flip())
    assert found.views == Views(flip=True, shift=2)
    found, _ = compose("digits", augmentation=["flip", PadCrop(padding=1)], views=Views())
    assert found.augmentation == (Flip(), PadCrop(padding=1))
    assert compose("digits", augmentation=Flip())[0].augmentation == (Flip(),)
    assert compose("digits", augmentation="none")[0].augmentation == ()
    rings = str(rings_file(tmp_path / "rings.npz"))
    assert compose(rings, target=0.9)[0].views == Views()
    assert compose(rings, target=0.9, views="none")[0].views is None


def test_with_a_target_evaluations_lie_whole_epochs_before_the_end(tmp_path: Path):
    rings = str(rings_file(tmp_path / "rings.npz"))
    seen: list[int] = []

    def look(event: object) -> None:
        if isinstance(event, EvaluationRecord) and event.part == "validation":
            seen.append(event.step)

    never: dict[str, Any] = {"metric": "loss", "target": 1e-9, "doublings": 0}
    run = skipwise.train(rings, NETWORK, epochs=2.5, out="run", on_event=look, **QUICK, **never)
    an_epoch = len(Arrays(path=rings).load().train) / 32
    assert an_epoch % 1
    assert run.step == math.ceil(2.5 * an_epoch)
    assert seen == [run.step - math.ceil(n * an_epoch) for n in (2, 1, 0)]
    seen.clear()
    run = skipwise.train(rings, NETWORK, epochs=2.0, out="two", on_event=look, **QUICK, **never)
    assert len(seen) == 2  # and not after the first update
    seen.clear()  # a budget moves the end, so epochs are counted from the start
    run = skipwise.train(rings, NETWORK, seconds=3.0, out="time", on_event=look, **QUICK, **never)
    whole = [math.ceil(n * an_epoch) for n in range(1, math.floor(run.step / an_epoch) + 1)]
    assert seen == [*whole, run.step][: len(seen)]
    assert seen[-1] == run.step


def weights_of(run: str | RunRecord) -> dict[str, torch.Tensor]:
    folder = Path(run.path if isinstance(run, RunRecord) else run)
    return load_checkpoint(folder / "last.ckpt")["run"]["model"]


def recipe_on(folder: Path) -> Experiment:
    """A recipe that takes four steps with a small network."""
    recipe = skipwise.recipes.cifar10(Arrays(path=str(rings_file(folder / "rings.npz"))))
    return replace(recipe, network=NETWORK, epochs=None, steps=4, batch_size=32)


def test_a_whole_experiment_trains_as_its_pieces_its_file_and_the_command(capsys, tmp_path: Path):
    whole = recipe_on(tmp_path)
    recipe = skipwise.recipes.cifar10(whole.data)
    pieces = {name: getattr(whole, name) for name in ("steps", "augmentation", "views")}
    runs = [
        skipwise.train(whole, quiet=True, report=False, out="whole"),
        skipwise.train(whole.data, NETWORK, whole.strategy, **pieces, **QUICK),
        skipwise.train(recipe, NETWORK, steps=4, **QUICK),
        skipwise.train("whole/experiment.yaml", quiet=True, report=False),
        skipwise.train(Path("whole/experiment.yaml"), quiet=True, report=False),
    ]
    code, _, err = call(
        capsys, "train", "whole/experiment.yaml", "--out", "told", "--quiet", "--no-report"
    )
    assert code == 0, err
    first = weights_of("told")
    for run in runs:
        assert experiment_of(Path(run.path)) == whole
        found = weights_of(run)
        assert found.keys() == first.keys()
        assert all(torch.equal(found[name], weight) for name, weight in first.items())


def test_what_is_given_beside_an_experiment_replaces_its_fields_and_nothing_else(tmp_path: Path):
    whole = recipe_on(tmp_path)
    assert compose(whole)[0] == whole
    assert compose(replace(whole, data=vars(whole.data)["path"]))[0] == whole
    words = {"epochs": 2.0, "views": "flip", "augmentation": "flip", "class_weights": True}
    found, dataset = compose(whole, skipwise.plain20(), skipwise.sgd(), **words, seed=3)
    assert len(dataset.train) == len(whole.data.load().train)
    given = {"epochs": 2.0, "steps": None, "views": Views(), "augmentation": (Flip(),)}
    given |= {"network": skipwise.plain20(), "strategy": skipwise.sgd(), "seed": 3}
    assert found == replace(whole, **given, class_weights=True)
    study, _ = study_of(whole, strategy=[skipwise.sgd(), skipwise.adam()], seeds=2, steps=3)
    assert study.experiment == replace(whole, steps=3, strategy=skipwise.sgd())
    assert study.networks == (NETWORK,)


def test_a_rate_is_found_for_a_whole_experiment(tmp_path: Path):
    whole, few = recipe_on(tmp_path), Search(seeds=1, steps=20, low=1e-5, high=3.0)
    pieces = {name: getattr(whole, name) for name in ("batch_size", "augmentation", "views")}
    found = skipwise.find_rate(whole, search=few)
    parts = {"seeds": 1, "steps": 20, "low": 1e-5, "high": 3.0}
    apart = skipwise.find_rate(whole.data, NETWORK, whole.strategy, **parts, **pieces)
    assert found == replace(apart, seconds=found.seconds)
    assert found.sweeps[0].rates[0] == pytest.approx(1e-5)
    with pytest.raises(TypeError, match="how much is tried already; leave seeds, high out"):
        skipwise.find_rate(whole, search=few, seeds=1, high=2.0)


def test_what_is_wrong_about_an_experiment_is_one_sentence(tmp_path: Path):
    whole = recipe_on(tmp_path)
    with pytest.raises(TypeError, match=r"skipwise.resnet20\(\) for example.*; got str"):
        skipwise.train(whole, network="resnet20")
    with pytest.raises(TypeError, match="no setting 'epoch'; did you mean 'epochs'"):
        skipwise.train(whole, epoch=1)
    with pytest.raises(ValueError, match=r"give one length.*; got epochs, steps"):
        skipwise.train(whole, epochs=1, steps=1)
    with pytest.raises(ValueError, match=r"nowhere.yaml cannot be read: No such file"):
        skipwise.train("nowhere.yaml")
    Path("list.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"list.yaml does not describe an experiment; its top"):
        skipwise.find_rate("list.yaml")
    skipwise.train(whole, flat, steps=1, quiet=True, report=False, out="own")
    with pytest.raises(ValueError, match=r"lies outside skipwise.*add --allow tests"):
        skipwise.train("own/experiment.yaml")
    again = skipwise.train("own/experiment.yaml", allow=("tests",), quiet=True, report=False)
    assert again.network == "flat"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"views": "flipp"}, "there are no views 'flipp'; did you mean 'flip'"),
        ({"views": True}, "there are no views True"),
        ({"augmentation": "flipp"}, "there is no augmentation 'flipp'; did you mean 'flip'"),
        ({"augmentation": [Flip]}, "an augmentation is a word, 'flip', or a description, got <cl"),
        ({"epochs": "many"}, "epochs must be float or nothing, got 'many'"),
        ({"batch_size": 1.5}, "batch_size must be int, got 1.5"),
        ({"class_weights": "yes"}, "class_weights must be bool, got 'yes'"),
        ({"compile": True}, "compile must be str, got True"),
    ],
)
def test_a_setting_of_another_type_is_one_sentence_before_the_data_are_read(settings, told: str):
    with pytest.raises(ValueError, match=told):
        skipwise.train("digits", **settings)
    with pytest.raises(ValueError, match=told):
        skipwise.compare("digits", [skipwise.plain20(), skipwise.resnet20()], **settings)
    assert not Path("runs").exists()


def test_a_study_names_what_it_cannot_build_anew_wherever_it_stands():
    strategy = skipwise.momentum()
    with pytest.raises(TypeError, match=r"got Linear, which is built already: name the function"):
        skipwise.compare("digits", [skipwise.resnet20(), nn.Linear(2, 2)], strategy)
    with pytest.raises(TypeError, match=r"network must be a description.*got str"):
        skipwise.compare("digits", [skipwise.resnet20(), "plain20"], strategy)
    with pytest.raises(TypeError, match=r"strategy must be a description.*got str"):
        skipwise.compare("digits", None, [strategy, "adam"])
    with pytest.raises(AttributeError, match=r"no 'muon'; it is skipwise\.strategies\.muon"):
        _ = skipwise.muon
    with pytest.raises(ValueError, match="seeds must be int, got 'ten'"):
        skipwise.compare("digits", None, [strategy, skipwise.adam()], seeds="ten")
    with pytest.raises(TypeError, match="no setting 'networks'; did you mean 'network'"):
        skipwise.compare("digits", networks=[skipwise.resnet20()])


def test_what_no_file_could_say_is_refused_before_a_run_begins():
    @dataclass(frozen=True, kw_only=True)
    class Hidden(SGD):
        pass

    def made(inputs: Any) -> nn.Module:
        return nn.Flatten()

    hidden, wide = replace(skipwise.sgd(), optimiser=Hidden()), replace(NETWORK, width=4.5)
    for work in (
        skipwise.train,
        skipwise.find_rate,
        partial(skipwise.compare, vary={"parts": [1, 2]}),
    ):
        for network, strategy, told in (
            (wide, None, r"network\.width must be int, got 4\.5"),
            (made, None, r"at network: '.*made' is made within a function or a class"),
            (None, hidden, r"at strategy\.optimiser: '.*Hidden' is made within a function"),
        ):
            with pytest.raises(ValueError, match=told):
                work("digits", network, strategy)
    with pytest.raises(ValueError, match=r"the study: networks\[1\]\.width must be int, got 4\.5"):
        skipwise.compare("digits", [NETWORK, wide], steps=2)
    experiment = Experiment(data=Digits(), network=NETWORK, strategy=skipwise.sgd(), steps=2)
    study = skipwise.Study(experiment=experiment, networks=(wide,), strategies=(hidden,))
    with pytest.raises(ValueError, match=r"the study: networks\[0\]\.width must be int, got 4\.5"):
        skipwise.compare(study)
    with pytest.raises(ValueError, match="is made within a function"):
        skipwise.train(replace(experiment, strategy=hidden))
    drawn = Digits(shares=replace(Shares(), split_seed=2.5))
    with pytest.raises(ValueError, match=r"data\.shares\.split_seed must be int, got 2\.5"):
        skipwise.train(drawn)
    with pytest.raises(TypeError, match="got function; call resnet20"):
        skipwise.train("digits", skipwise.resnet20)
    assert not Path("runs").exists()
    assert not Path("studies").exists()


def test_a_run_is_resumed_with_other_settings_and_refuses_what_it_does_not_know(tmp_path: Path):
    rings = Arrays(path=str(rings_file(tmp_path / "rings.npz")))
    run = skipwise.train(rings, NETWORK, skipwise.sgd(), steps=2, **QUICK)
    wrong: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
        ({"patience": 3}, TypeError, r"takes patience as a setting: set=\{'patience': 3\}"),
        ({"step": 3}, TypeError, "resume has no setting 'step'; did you mean 'steps'"),
        ({"steps": "ten"}, ValueError, "steps must be int or nothing, got 'ten'"),
        ({"set": {"network.width": 8}}, ValueError, "'network.width' would make it another run"),
        ({"set": {"strategy.optimiser": "Adam"}}, ValueError, "cannot become another kind"),
    )
    for words, kind, told in wrong:
        with pytest.raises(kind, match=told):
            skipwise.resume(run, quiet=True, **words)
    assert experiment_of(Path(run.path)).steps == 2
    changes = {"strategy.peak_lr": 0.0625, "strategy.schedule": "Constant", "patience": 3}
    longer = skipwise.resume(run, steps=4, set=changes, quiet=True, report=False)
    assert longer.step == 4
    found = experiment_of(Path(run.path))
    assert (found.strategy.peak_lr, found.patience) == (0.0625, 3)
    lines = Path(run.path, "metrics.csv").read_text().splitlines()
    rate = lines[0].split(",").index("rate")
    assert [float(line.split(",")[rate]) for line in lines[3:]] == [0.0625, 0.0625]


def test_every_part_is_there_by_its_name():
    assert {"comparison", "conformity", "selftest"} <= set(dir(skipwise))


def test_objects_in_a_file_are_refused_without_advice_to_unpickle_them(tmp_path: Path):
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object), y=np.array([0]))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    for name in ("text", "objects", "one"):
        with pytest.raises(
            ValueError, match="it is no archive of plain arrays; write it with"
        ) as told:
            Arrays(path=str(tmp_path / f"{name}.npz")).load()
        assert "pickle" not in str(told.value)


def test_a_label_that_is_no_class_number_is_named_with_its_example(tmp_path: Path):
    np.savez(tmp_path / "big.npz", x=np.zeros((4, 2)), y=np.array([0, 1, 1_000_000, 1]))
    with pytest.raises(ValueError, match="label 1000000 of example 2 is no class number"):
        Arrays(path=str(tmp_path / "big.npz")).load()


def test_a_data_set_whose_inputs_are_single_numbers_is_refused():
    with pytest.raises(ValueError, match=r"list must have len\(\).*: an input has no axes"):
        skipwise.train([(1.0, 0), (2.0, 1)])


def test_evaluate_scores_a_run_and_other_data_in_every_form(tmp_path: Path):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz")))
    run = skipwise.train(data, NETWORK, steps=12, out=str(tmp_path / "r"), **QUICK)
    assert run.test is not None
    assert skipwise.evaluate(run).metrics == pytest.approx(run.test.metrics)
    other = rings_file(tmp_path / "other.npz", 40)
    with np.load(other) as arrays:
        inputs, truth = (
            torch.from_numpy(arrays["x"]).permute(0, 3, 1, 2),
            torch.from_numpy(arrays["y"]),
        )
    right = float((skipwise.load(run).outputs(inputs).argmax(1) == truth).double().mean())
    assert 0 < right < 1
    own = TensorDataset(inputs, truth)
    for form in (str(other), other, Arrays(path=str(other)), own):
        found = skipwise.evaluate(run.path, form, csv=tmp_path / "answers.csv")
        assert found.metrics["accuracy"] == pytest.approx(right)
        assert (found.record.part, found.record.examples) == ("all", 40)
        assert f"accuracy {right:.4f}" in str(found)
        assert f"40 examples in {tmp_path / 'answers.csv'}" in found.notes
    with pytest.raises(ValueError, match="keeps what was chosen for its data; --set is for data"):
        skipwise.evaluate(run, set={"data.path": "x"})
    with pytest.raises(ValueError, match=r"--set is of the data here, .*; got 'path'"):
        skipwise.evaluate(run, other, set={"path": "x"})
    with pytest.raises(ValueError, match="--skip-bad is for folders of pictures"):
        skipwise.evaluate(run, other, skip_bad=True)


ANY: Any = skipwise  # whose kinds are wrong on purpose


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (lambda: ANY.measure_size(skipwise.resnet20, (3, 32, 32)), "description.*; got function"),
        (lambda: ANY.measure_size(NETWORK, 3), r"\(3, 32, 32\) for example; got 3"),
        (lambda: ANY.measure_size(NETWORK, (3, 0)), r"inputs is the shape .*; got \(3, 0\)"),
        (lambda: ANY.measure_size(nn.Linear(3, 4), (5,)), "Linear does not run on examples"),
        (lambda: ANY.measure_size(nn.Linear(3, 4), (3,), classes=2), "classes has no effect"),
        (lambda: ANY.measure_size(LINEAR, (3,), classes=2), "no effect on residual_linear, whose"),
        (lambda: ANY.compare("digits", [], skipwise.sgd()), "network is an empty list; name"),
        (lambda: ANY.compare("digits", strategy=[]), "strategy is an empty list; name one"),
        (lambda: ANY.compare("digits", vary="a=1"), "vary has values by their paths.*got str"),
        (lambda: ANY.compare("digits", tune=3), "setting 'tune'; did you mean 'trials'"),
        (lambda: ANY.train(None), "data is None; name data, 'digits' for example, or give"),
        (lambda: ANY.train("digits", guard=1), "strategy: .*guard=skipwise.strategies.Guard"),
        (lambda: ANY.train("digits", lr=1), r"'lr'; it is of the strategy: .*peak_lr=…\)"),
        (lambda: ANY.train("digits", memory=1), r"it is of the data: .*, memory_bytes=…\)"),
        (lambda: ANY.train("digits", recipe="x"), "stands in the place of data"),
        (lambda: ANY.train("digits", transfer_from="r"), r"skipwise.transfer\(run, network\)"),
        (lambda: ANY.train("digits", set={}), "'set'; name the field itself, or change what"),
        (lambda: ANY.resume("r", lr=1), r"strategy: set=\{'strategy.peak_lr': …\}"),
        (lambda: ANY.load(3), "a run is given as its folder, or as the record .*; got int"),
        (lambda: ANY.evaluate(3), "a run is given as .*; got int"),
        (lambda: ANY.report(["r"]), "a run is given as .*; got list"),
        (lambda: ANY.resume(3), "a run is given as .*; got int"),
        (lambda: ANY.export(NETWORK, "a.onnx"), "a run is given as .*; got ResNet"),
        (lambda: ANY.exports.export_weights(3, "a.pth"), "a run is given as .*; got int"),
        (lambda: ANY.transfer(NETWORK, "r"), "a run is given as .*; got ResNet"),
        (lambda: ANY.load("digits"), "digits is neither a run's folder nor a file of weights"),
        (lambda: ANY.train("digits", watch=["gradients"]), "in one string, .*; got list"),
        (lambda: ANY.train("digits", on_event=3), "on_event is a function, .*; got int"),
        (lambda: ANY.resume("r", on_event=3), "on_event is a function, .*; got int"),
        (lambda: ANY.resume("r", set="a=1"), "set has values by their paths.*; got str"),
        (lambda: ANY.evaluate("r", set="a=1"), "set has values by their paths.*; got str"),
        (lambda: ANY.transfer("r", set="a=1"), "set has values by their paths.*; got str"),
        (lambda: ANY.find_rate("digits", search=3), "must be a skipwise.tuning.Search, got int"),
        (lambda: ANY.find_rate("digits", seeds="3"), "seeds must be int, got '3'"),
        (lambda: ANY.transfer("r", check=5), "must be a skipwise.tuning.Check, got int"),
        (lambda: ANY.diagnose("r", losss=3), "no setting 'losss'; did you mean 'loss'"),
        (lambda: ANY.explain("depth", seconds="60"), "seconds must be a number.*; got '60'"),
        (lambda: ANY.tensorboard(3), "a folder is given by its path; got int"),
        (lambda: ANY.tensorboard("notes.txt"), "notes.txt is no folder, so the log for Tens"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_one_sentence_before_any_folder_is_made(
    work: Callable[[], object], told: str
):
    Path("notes.txt").touch()
    with pytest.raises((TypeError, ValueError), match=told):
        work()
    assert [path.name for path in Path().iterdir()] == ["notes.txt"]
