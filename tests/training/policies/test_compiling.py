"""Compiling: only where a run repays it, with the same result, and never the end of a run."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skipwise.strategies import momentum
from skipwise.training import Compiling, Run, train
from skipwise.training.policies.compiling import MEASURED_STEPS, Compiled
from tests.training.test_loop import a_run, weights

TRIED = 2 * (MEASURED_STEPS + 1)


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))


def trained(compiling: Compiling, run: Run) -> list[str]:
    said = list(compiling.begin())
    for step in train(run):
        said += compiling.after(step)
    return said


def slowed(seconds: float) -> Callable[[Any], Callable[[Tensor], Tensor]]:
    def compile(module: Any) -> Callable[[Tensor], Tensor]:
        def compute(inputs: Tensor) -> Tensor:
            time.sleep(seconds)
            return module(inputs)

        return compute

    return compile


def test_a_short_run_is_left_alone():
    run = a_run(momentum(), steps=TRIED)
    compiling = Compiling(run, "auto", compile=slowed(0.0))
    assert trained(compiling, run) == []
    assert (compiling.decided, run.compiled) == (False, None)


def test_what_is_slower_compiled_goes_on_uncompiled():
    run = a_run(momentum(), steps=TRIED)
    compiling = Compiling(run, "auto", compile=slowed(0.05), long_seconds=0.0)
    (said,) = trained(compiling, run)
    assert "goes on uncompiled" in said
    assert run.compiled is None


def test_what_is_faster_compiled_goes_on_compiled():
    class Slow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.05)
            return x

    run = a_run(momentum(), steps=TRIED)
    quick = run.model
    run.model = nn.Sequential(quick, Slow())
    compiling = Compiling(run, "auto", compile=lambda _: quick, long_seconds=0.0)
    (said,) = trained(compiling, run)
    assert "goes on compiled" in said
    assert isinstance(run.compiled, Compiled)
    assert run.compiled.compiled is quick


def test_a_compiler_that_fails_ends_nothing_and_changes_nothing():
    def fail(module: Any) -> Callable[[Tensor], Tensor]:
        def compute(inputs: Tensor) -> Tensor:
            module(inputs)
            raise RuntimeError("no such instruction\nat length")

        return compute

    run, twin = (a_run(momentum(), model=normed()) for _ in range(2))
    for mine, theirs in zip(run.model.parameters(), twin.model.parameters(), strict=True):
        theirs.data.copy_(mine)
    (said,) = trained(Compiling(run, "on", compile=fail), run)
    assert said == (
        "not compiled, since the compiler failed (RuntimeError: no such instruction);"
        " the run computes eagerly"
    )
    list(train(twin))
    for name, tensor in twin.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], tensor), name


def test_what_a_compiler_warns_of_is_silenced_and_what_a_network_does_is_not():
    def warn(module: Any) -> Callable[[Tensor], Tensor]:
        calls = []

        def compute(inputs: Tensor) -> Tensor:
            calls.append(inputs)
            warnings.warn(f"call {len(calls)}", stacklevel=2)
            return module(inputs)

        return compute

    run = a_run(momentum())
    assert list(Compiling(run, "on", compile=warn).begin()) == []
    with pytest.warns(UserWarning, match="call 2"):
        next(train(run))


def test_without_a_compiler_on_the_machine_the_run_is_eager_and_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    run = a_run(momentum())
    (said,) = trained(Compiling(run, "on"), run)
    assert "there is no C++ compiler (on Debian: apt-get install g++)" in said
    assert run.compiled is None


def test_the_choice_is_state_and_the_users_word_comes_first():
    run = a_run(momentum())
    told, taken = Compiling(run, "off"), Compiling(run, "auto")
    for compiling in (told, taken):
        compiling.restore({"decided": True})
    assert (told.decided, taken.decided) == (False, True)


@pytest.mark.slow
def test_a_compiled_run_gives_the_weights_of_an_eager_one():
    run, twin = a_run(momentum()), a_run(momentum())
    assert trained(Compiling(run, "on"), run) == []
    assert run.compiled is not None
    list(train(twin))
    torch.testing.assert_close(weights(run), weights(twin), rtol=1e-4, atol=1e-5)


def test_a_compiler_that_fails_late_ends_nothing_and_changes_nothing():
    class BackendFailed(RuntimeError):
        __module__ = "torch._dynamo.exc"

    def late(module: Any) -> Callable[[Tensor], Tensor]:
        calls = []

        def compute(inputs: Tensor) -> Tensor:
            calls.append(inputs)
            if len(calls) > 3:
                raise BackendFailed("another size")
            return module(inputs)

        return compute

    run, twin = (a_run(momentum(), model=normed()) for _ in range(2))
    twin.model.load_state_dict(run.model.state_dict())
    said = trained(Compiling(run, "on", compile=late), run)
    assert said == ["the compiler failed (BackendFailed: another size); the run goes on uncompiled"]
    list(train(twin))
    assert torch.equal(weights(run), weights(twin))
