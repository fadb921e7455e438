"""The Python side says what is wrong in a sentence, as the command line does."""

from pathlib import Path

import numpy as np
import pytest

import skipwise
from skipwise.data import Arrays


def test_a_word_for_a_network_and_an_unknown_setting_are_refused():
    with pytest.raises(TypeError, match=r"skipwise.resnet20\(\) for example.*; got str"):
        skipwise.train("digits", network="resnet20")
    with pytest.raises(TypeError, match="no setting 'epoch'; did you mean 'epochs'"):
        skipwise.train("digits", epoch=1)
    assert not Path("runs").exists()


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
