"""Data of a user's own: taken as they are, split, or refused in a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import skipwise
from skipwise.data import Arrays, Examples, Own, Shares
from skipwise.description import Call


class Blobs(Dataset):
    """A user's data set, with random augmentation of its own."""

    def __init__(self, examples: int = 60):
        self.examples = examples

    def __len__(self) -> int:
        return self.examples

    def __getitem__(self, n: int) -> tuple[np.ndarray, int]:
        noise = torch.randn(4).numpy() * 0.1 + np.random.normal(0, 0.1, 4)
        return (np.eye(4)[n % 4] + noise).astype(np.float32), n % 4


def test_a_users_own_data_set_is_split_and_described():
    data = Own(dataset=Blobs()).load()
    assert data.classes == tuple("0123")
    assert data.ends.inputs == (4,)
    named = Own(dataset=Call(target="tests.data.test_own:Blobs", arguments={"examples": 40}))
    assert named.name == "Blobs"
    assert named.load().digest == named.load().digest


def test_a_users_broken_data_set_is_refused():
    class Endless:
        def __len__(self):
            return 2

        def __getitem__(self, n):
            return n

    with pytest.raises(ValueError, match=r"Endless must have len\(\) and give \(input, target\)"):
        Own(dataset=Endless()).load()


class Rows(list):
    """A list of pairs, or of anything else."""


def test_a_class_in_an_array_of_its_own_is_a_class():
    """As MedMNIST gives labels."""
    pairs = [(torch.ones(3) * n, np.array([n % 2])) for n in range(20)]
    data = Own(dataset=Rows(pairs)).load()
    assert (data.task, data.classes) == ("classification", ("0", "1"))
    targets = data.train.gather(torch.arange(4))[1]
    assert targets.dtype == torch.int64
    assert targets.shape == (4,)


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (Rows([{"image": 1, "label": 0}] * 4), r"must have len\(\) and give \(input, target\)"),
        (Rows([(torch.ones(3), torch.tensor([0, 1]))] * 4), "are neither one class an example"),
        (None, r"were made in Python.*as data= of skipwise\.resume, evaluate, diagnose or transf"),
        ([], "list has no example"),
        ([(np.ones(3), 0, 1)] * 9, r"\(input, target\) for every index: an example has 3 members"),
        (list(zip(np.eye(3), ["owl", "cat", "dog"], strict=True)), "has words as targets, owl for"),
    ],
)
def test_a_data_set_of_ones_own_that_gives_no_pairs_is_refused(dataset: object, told: str):
    with pytest.raises(ValueError, match=told):
        Own(dataset=dataset).load()


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int8])
def test_labels_of_any_whole_numbers_are_trained_on(kind: type):
    class Mine(Dataset):
        labels = np.arange(40, dtype=kind) % 2

        def __len__(self):
            return 40

        def __getitem__(self, n):
            return torch.eye(2)[int(self.labels[n])], self.labels[n]

    data = Own(dataset=Mine()).load()
    _, targets = data.train.gather(torch.arange(4))
    assert targets.dtype == torch.long
    assert data.classes == ("0", "1")


ROWS = np.random.default_rng(0)
X, Y = ROWS.normal(3.0, 2.0, (60, 5)).astype(np.float32), np.arange(60) % 3
XV, YV = ROWS.normal(3.0, 2.0, (12, 5)).astype(np.float32), np.arange(12) % 3
PAIRS = list(zip(XV, YV, strict=True))


class Column:
    """What numpy reads, as a column of pandas is."""

    def __init__(self, values: np.ndarray):
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype)


def inputs_of(part: Examples | None) -> torch.Tensor:
    assert part is not None
    return part.gather(torch.arange(len(part)))[0]


@pytest.mark.parametrize(
    "given",
    [
        (X, Y),
        [torch.from_numpy(X), torch.from_numpy(Y)],
        {"x": X, "y": Y},
        {"train": (X, torch.from_numpy(Y))},
        {"Train": (X, Y), "test": None, "val": None},
        (Column(X), Column(Y)),
        (X, Y.tolist()),
        (X.tolist(), Y.tolist()),
        [X.tolist(), Column(Y)],
        (list(torch.from_numpy(X)), torch.from_numpy(Y)),
        {"x": X.tolist(), "y": list(Y), "x_val": None},
    ],
)
def test_arrays_are_trained_on_as_those_of_a_file(given: Any, tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    own, file = Own(dataset=given).load(), Arrays(path=str(tmp_path / "a.npz")).load()
    assert (own.name, own.task, own.classes) == ("arrays", "classification", ("0", "1", "2"))
    assert own.preprocessing == file.preprocessing
    assert (own.digest, own.notes, own.counts) == (file.digest, file.notes, file.counts)
    assert torch.equal(inputs_of(own.test), inputs_of(file.test))


@pytest.mark.parametrize(
    "given",
    [
        {"x": X, "y": Y, "x_val": XV, "y_val": YV},
        {"train": (X, Y), "validation": (XV, YV)},
        {"valid": (XV.tolist(), YV.tolist()), "train": (X, Y), "test": None},
        {"train": TensorDataset(*map(torch.from_numpy, (X, Y))), "val": PAIRS},
        {"valid": PAIRS, "train": list(zip(X, Y, strict=True)), "test": None},
    ],
)
def test_parts_that_there_are_stay_and_none_is_carved_out(given: Any):
    data = Own(dataset=given).load()
    assert torch.equal(inputs_of(data.train), torch.from_numpy(X))
    assert torch.equal(inputs_of(data.validation), torch.from_numpy(XV))
    assert data.test is None
    assert data.notes == ("there is no test part: no score is free of choices",)


def test_a_part_that_is_missing_is_held_out_of_the_training_one_and_no_example_lost():
    pairs = {"train": list(zip(X, Y, strict=True)), "test": PAIRS}
    data = Own(dataset=pairs).load()
    both = torch.cat([inputs_of(data.train), inputs_of(data.validation)])
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, X.tolist()))
    assert torch.equal(inputs_of(data.test), torch.from_numpy(XV))
    assert data.notes == ("6 examples held out for validation (split seed 0)",)
    assert data.counts == (18, 18, 18)


@pytest.mark.parametrize("form", [tuple, list])
def test_a_training_and_a_test_part_come_as_keras_gives_them(form: Any):
    given = form([(X, Y), form([XV, YV])])
    data = Own(dataset=given).load()
    named = Own(dataset={"train": (X, Y), "test": (XV, YV)}).load()
    assert (data.name, data.digest) == ("arrays", named.digest)
    assert torch.equal(inputs_of(data.test), torch.from_numpy(XV))


def test_two_examples_of_arrays_stay_examples():
    """Their targets are of one shape, so that a batch may hold both."""
    two = Own(dataset=[(X[0], X[1]), (X[2], X[3])], shares=Shares(test=0.0, validation=0.0)).load()
    assert (two.name, two.task) == ("list", "regression")
    assert torch.equal(inputs_of(two.train), torch.from_numpy(X[[0, 2]]))


def test_words_are_classes_in_their_order():
    words = np.array(["owl", "cat", "dog"])[Y]
    columns = (words, Column(words.astype(object)), words.tolist(), list(words), words.astype("S"))
    for labels in columns:
        data = Own(dataset=(X, labels), shares=Shares(test=0.0, validation=0.0)).load()
        assert data.classes == ("cat", "dog", "owl")
        assert torch.equal(data.train.gather(torch.arange(4))[1], torch.tensor([2, 0, 1, 2]))
    numbers = Own(dataset=(X, Y), classes=("owl", "cat", "dog")).load()
    assert numbers.classes == ("owl", "cat", "dog")


def test_a_run_on_arrays_is_evaluated_on_arrays_that_lack_a_class(tmp_path: Path):
    how: dict[str, Any] = {"quiet": True, "report": False, "out": str(tmp_path / "run")}
    words = np.array(["owl", "cat", "dog"])[Y]
    run = skipwise.train({"train": (X, words), "test": (XV, words[:12])}, steps=30, **how)
    assert run.test is not None
    found = skipwise.evaluate(run, (XV, words[:12]))
    assert found.metrics["loss"] == pytest.approx(run.test.metrics["loss"], rel=1e-6)
    is_owl = words[:12] == "owl"
    said = skipwise.load(run).predict(XV[is_owl])
    assert not found.notes
    pairs = list(zip(XV * np.nan, YV, strict=True))
    broken = skipwise.evaluate(run, Own(dataset=pairs, classes=("cat", "dog", "owl")))
    assert "some outputs are not finite; look for NaN" in str(broken)
    for given, told in (((XV, words[:5]), "12 inputs but 5 targets"), ([], "has no example")):
        with pytest.raises(ValueError, match=f"the test part .*{told}"):
            skipwise.evaluate(run, {"val": (XV, YV) if given else PAIRS, "test": given})
    one = skipwise.evaluate(run, (XV[is_owl], words[:12][is_owl]))
    assert one.metrics["accuracy"] == np.mean([p.label == "owl" for p in said])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((X, Y[:5]), "arrays: the train part has 60 inputs but 5 targets"),
        ((X, Y + 1), "arrays: labels begin at 1, classes at 0; subtract 1 from y"),
        ((X * np.nan, Y), "arrays: train input 0 holds NaN or infinity"),
        ((X, np.array([{}] * 60)), "the train targets are of type object; numbers are needed"),
        (([X[0].tolist(), [1.0]], [0, 1]), "x_train cannot be read as an array: .* inhomogeneous"),
        (
            (X, Y, Y),
            r"an example has 60 members; arrays are given as a pair, .*, as {\"train\": ",
        ),
        (
            (X, Y, XV, YV),
            r"arrays are given as a pair, \(x, y\), or by name, {\"x\": x, \"y\": y};",
        ),
        (((X, Y), (XV, YV), (XV, YV)), r"parts, be they pairs or data sets, as {\"train\": …, \"t"),
        ((X,), r"arrays are given as a pair, \(x, y\), or by name"),
        ({"trian": (X, Y)}, "'trian' is no part of data; did you mean 'train'"),
        ({"train": (X, Y), "tset": (XV, YV)}, "'tset' is no part of data; did you mean 'test'"),
        (
            (Blobs(), Blobs()),
            r"an example has 60 members; .* parts, be they pairs or data sets, as",
        ),
        ({"data": X, "target": Y, "DESCR": "of iris"}, "'DESCR' is of type str and no array; give"),
        ((torch.ones(60, 5).bfloat16(), Y), "x_train cannot be read as an array: .*BFloat16"),
        ({"test": (X, Y)}, "has train, and perhaps validation and test, got test"),
        ({"train": None, "test": PAIRS}, "has train, and perhaps validation and test, got test"),
        ({"train": None}, "has train, and perhaps validation and test, got none"),
        ({"train": (X, Y), "val": (X, Y), "valid": (X, Y)}, "stands twice, as val and valid; leav"),
        ({"train": PAIRS, "validation": PAIRS, "val": PAIRS}, "twice, as validation and val; leav"),
        ({"train": PAIRS, "vall": PAIRS}, "'vall' is no part of data; did you mean 'val'"),
        ({"train": PAIRS, "test": (X, Y)}, "test part is a pair of arrays and the train part of"),
        ({"train": PAIRS, "test": []}, "the test part has no example; a part that is empty can be"),
        ({"train": [(X[0], 1)], "test": [(X[0], "1")]}, "the test part has words as targets, 1 fo"),
        ({"train": (X, Y.astype(str)), "test": (X, Y)}, "give words in all parts, or numbers in a"),
        ({"x": X, "y": Y.astype(str), "classes": ["a"]}, "words name their classes themselves; le"),
        ({"val": [(X[0], 1)]}, "has train, and perhaps validation and test, got validation"),
        ({"train": [(X[0], 1)], "val": [(X[0, :3], 0)]}, "inputs of its parts differ in shape"),
        ({"train": [(X[0], 1)], "val": [(X[0], 0.5)]}, "targets of its parts differ in type"),
    ],
)
def test_arrays_and_parts_that_cannot_be_trained_on_are_refused(given: Any, told: str):
    with pytest.raises(ValueError, match=told):
        Own(dataset=given).load()


def test_examples_numbered_in_a_mapping_are_a_data_set():
    """Labels of numpy and torch have ``__array__`` too."""
    for label in (np.int64, torch.tensor):
        numbered = {n: (X[n], label(int(Y[n]))) for n in range(len(X))}
        data = Own(dataset=numbered, shares=Shares(test=0.0, validation=0.0)).load()
        assert torch.equal(inputs_of(data.train), torch.from_numpy(X))


def test_what_may_not_be_written_to_is_copied():
    pictures = (X * 10).astype(np.uint8)
    pictures.flags.writeable = False
    data = Own(dataset=(pictures.reshape(60, 5, 1), Y)).load()  # torch would warn
    assert len(data.train) > 40


WHOLE = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (X, r"inputs alone are no data set; give a pair, \(x, y\)"),
        (torch.from_numpy(X), r"inputs alone are no data set; give a pair, \(x, y\)"),
        ({"train": X, "test": X}, r"the train part: inputs alone are no data set; give a pair"),
        (DataLoader(WHOLE, batch_size=4), r"give loader\.dataset, and batch_size="),
        ({"train": WHOLE, "test": DataLoader(WHOLE)}, "the test part: a DataLoader gives batches"),
        (
            {"train": "pictures"},
            r"'pictures' is a name.* give the folder that has train/ and test/",
        ),
    ],
)
def test_what_is_near_to_data_is_refused_by_what_makes_data_of_it(given: Any, told: str):
    with pytest.raises(TypeError, match=told):
        skipwise.train(given)


def test_a_part_alone_is_scored_where_nothing_is_trained(tmp_path: Path):
    words = np.array(["owl", "cat", "dog"])[Y]
    how: dict[str, Any] = {"steps": 3, "quiet": True, "report": False}
    run = skipwise.train((X, words), out=str(tmp_path / "arrays"), **how)
    whole = skipwise.evaluate(run, (XV, words[:12]))
    for word, part in (("test", "test"), ("val", "validation")):
        alone = skipwise.evaluate(run, {word: (XV, words[:12])})
        assert (alone.record.part, alone.metrics) == (part, whole.metrics)
    with pytest.raises(ValueError, match="arrays has no train part; choose another"):
        skipwise.evaluate(run, {"test": (XV, words[:12])}, part="train")
    run = skipwise.train(list(zip(X, Y, strict=True)), out=str(tmp_path / "sets"), **how)
    both = {"val": PAIRS[:5], "test": PAIRS}
    for part, some in (("test", PAIRS), ("validation", PAIRS[:5])):
        found = skipwise.evaluate(run, both, part=part)
        assert found.metrics == skipwise.evaluate(run, some).metrics
