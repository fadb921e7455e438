"""torch.compile, for runs that are long enough to repay it.

Compiling takes from half a minute to some minutes and gains from nothing to a half, depending on
network, processor and device; so nobody should have to guess. ``auto`` measures a few steps, leaves
a short run alone, and in a long one compiles, measures again and keeps what is faster. The choice
is state: a resumed run computes as the one that was interrupted.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, final

import torch
from torch import Tensor

from skipwise.training.gradient import leaving_no_trace, trial_gradient
from skipwise.training.loop import Step
from skipwise.training.run import Run

CHOICES = ("auto", "on", "off")
MEASURED_STEPS = 10  # the median of so many, after one that does not count
LONG_SECONDS = {"cpu": 1800.0, "cuda": 300.0}  # what must be left of a run for a trial
GAIN = 0.97  # compiled steps must take at most this share of an eager one's time
COMPILERS = ("torch._dynamo", "torch._inductor", "torch._functorch")  # whose errors are no one's
Compile = Callable[[Any], Callable[[Tensor], Tensor]]


@final
class Compiled:
    """A compiled model that computes eagerly from where its compiler fails, as at another size.

    Args:
        compiled: What the compiler gave.
        model: What it was given.
    """

    def __init__(self, compiled: Callable[[Tensor], Tensor], model: Callable[[Tensor], Tensor]):
        self.compiled, self.model = compiled, model
        self.problem = ""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Compute the model's output."""
        if self.problem:
            return self.model(inputs)
        try:
            return self.compiled(inputs)
        except Exception as error:
            if not type(error).__module__.startswith(COMPILERS):
                raise
            self.problem = _first_line(error)
            return self.model(inputs)


@final
class Compiling:
    """Decides whether a run computes compiled; sees its steps, and puts ``run.compiled``.

    Args:
        run: The run.
        choice: ``"auto"``, ``"on"`` or ``"off"``.
        compile: What compiles a module.
        long_seconds: What must be left of a run for a trial; by the device if None.
    """

    def __init__(
        self,
        run: Run,
        choice: str,
        *,
        compile: Compile = torch.compile,
        long_seconds: float | None = None,
    ):
        self.run, self.compile = run, compile
        device = run.batches.device.type
        self.long_seconds = LONG_SECONDS[device] if long_seconds is None else long_seconds
        self.decided: bool | None = {"on": True, "off": False}.get(choice)
        if choice == "auto" and run.world.size > 1:
            self.decided = False
        self._eager: float | None = None
        self._seconds: list[float] = []

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {"decided": self.decided}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state, unless the user has decided otherwise."""
        self.decided = state["decided"] if self.decided is None else self.decided

    def begin(self) -> Iterator[str]:
        """Compile before the first step if that is decided, and say if it cannot be."""
        if self.decided:
            yield from self._compiled()

    def after(self, step: Step) -> Iterator[str]:
        """Take a step in, and say what was decided by it."""
        if isinstance(self.run.compiled, Compiled) and self.run.compiled.problem:
            problem, self.run.compiled, self.decided = self.run.compiled.problem, None, False
            yield f"the compiler failed ({problem}); the run goes on uncompiled"
        if self.decided is not None:
            return
        self._seconds.append(step.seconds)
        if len(self._seconds) <= MEASURED_STEPS:
            return
        typical, self._seconds = median(self._seconds[1:]), []
        if self._eager is None:
            self._eager = typical
            if typical * (self.run.steps - self.run.step) < self.long_seconds:
                self.decided = False
            else:
                yield from self._compiled()
            return
        self.decided = typical <= GAIN * self._eager
        if not self.decided:
            self.run.compiled = None
        kept = "goes on compiled" if self.decided else "goes on uncompiled"
        yield f"a step took {self._eager:.3f} s, compiled {typical:.3f} s; the run {kept}"

    def _compiled(self) -> Iterator[str]:
        missing = _missing(self.run)
        problem = missing if missing else self._tried()
        if problem:
            self.run.compiled, self.decided = None, False
            yield f"not compiled, since {problem}; the run computes eagerly"

    def _tried(self) -> str | None:
        """Compile, and take one gradient that changes nothing; give what went wrong.

        What a compiler warns of is silenced: torch's of before 2.14 does of float32 without TF32.
        """
        run = self.run
        try:
            run.compiled = Compiled(self.compile(run.model), run.model)
            with leaving_no_trace(run), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial_gradient(run, run.batches.at(run.step, progress=run.step / run.steps))
        except Exception as error:  # whatever a compiler may raise, the run must not end by it
            return f"the compiler failed ({_first_line(error)})"
        return f"the compiler failed ({run.compiled.problem})" if run.compiled.problem else None


def _first_line(error: Exception) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}"


def _missing(run: Run) -> str | None:
    """Say what stands in the way, before a compiler says it at length."""
    if run.world.size > 1:
        return "several processes share the run"
    compilers = (os.environ.get("CXX"), "g++", "clang++", "c++")
    if run.batches.device.type == "cpu" and not any(shutil.which(c) for c in compilers if c):
        return "there is no C++ compiler (on Debian: apt-get install g++)"
    return None
