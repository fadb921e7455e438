"""What all tests share: where the real data lie, quiet threads, and a seed."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("SKIPWISE_SHARED", HERE.parent.parent / "shared" / "data"))
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
SEED = 2015  # not 0, from which many tests build: inputs would be the numbers of the weights


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr != "gpu":  # all others are of a processor's numbers and processes
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.pop("SKIPWISE_DEVICE", None)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seed each test, before any fixture is made for it."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


@pytest.fixture
def shared() -> Path:
    """The folder of real data sets; tests that need it skip where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"no data sets in {SHARED}; set SKIPWISE_SHARED")
    return SHARED


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
