"""Calling a command in this process, as a user would in a shell."""

from math import prod

import pytest
from torch import nn

from skipwise.cli import main

SMALL = "--set network.width=4 --set network.blocks=[1,1] --batch-size 32 --quiet".split()


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and give its exit code, output and error output."""
    try:
        main(words)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code, out, err = call(capsys, *words)
    assert code == 2, (out, err)
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    return err


def flat(inputs: tuple[int, ...], classes: int) -> nn.Module:
    """A network without blocks."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(inputs), classes))
