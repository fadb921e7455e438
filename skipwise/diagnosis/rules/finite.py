"""V0: is every number finite?"""

import math
from collections.abc import Sequence

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import Cure, by_training, for_all
from skipwise.diagnosis.verdict import Level, Verdict

NAN, INFINITE = "NaN in output", "infinite in output"
IN_A_ROW = 3  # refused steps that a gradient scaler needs to find its scale
BACK = by_training(
    "go back to weights before it (before.ckpt in the run's folder) and train on with"
    " --set strategy.guard=Guard, which skips such steps and returns to the last good state, and"
    " a lower strategy.peak_lr",
    module="go back to weights before it and train on with a lower rate; leave out steps whose loss"
    " or gradient is not finite (nn.utils.clip_grad_norm_ gives its norm)",
)
CLEAN = for_all("clean the data: fill what is missing, or leave these examples out")
OVERFLOW = by_training(
    "bring the inputs to mean 0 and variance 1, take a lower strategy.peak_lr or"
    " --set strategy.clip_norm=1, and --set precision=float32 where less was used; where it"
    " grows from block to block, V1 says what to change",
    module="bring the inputs to mean 0 and variance 1, take a lower rate or"
    " nn.utils.clip_grad_norm_(model.parameters(), 1), and compute in float32 where less was used;"
    " where it grows from block to block, V1 says what to change",
)
TARGETS = for_all(
    "look at the targets (classes outside 0 to C − 1) and at logarithms, roots and divisions in the"
    " loss"
)
SMALL = (
    "look for a root, a norm or a division at zero in what follows there, and add a small number"
    " under it"
)
SINGULAR = by_training(
    f"{SMALL}; --set strategy.guard=Guard skips such steps meanwhile",
    module=f"{SMALL}; leave out such steps meanwhile",
)


def finite(
    *,
    finiteness: Measurement | None = None,
    loss: float | None = None,
    refused: int = 0,
    recovered: bool = False,
) -> Verdict:
    """Judge whether all numbers are finite, and name the first module where they are not.

    The first cause counts: data, then weights, then the first module in the order of the forward
    pass that gives such numbers, then the loss, then the gradient, which becomes bad from the end
    of the network on. Infinities in between that reach neither loss nor gradient, such as those of
    a mask, are a WARN.

    Args:
        finiteness: The measurement of that name.
        loss: Of the last update that was made, which may be NaN or infinite; None if there is none.
        refused: The most steps in a row that a gradient scaler, or a guard, refused as not finite.
        recovered: Whether the training went on after these, which then harmed nothing.
    """
    if finiteness is not None:
        found = _in_pass(finiteness)
        if found is not None:
            return found
    if loss is not None and not math.isfinite(loss):
        return _verdict(
            Level.FAIL,
            f"The last loss of the training was {loss}.",
            numbers={"loss of the training": loss},
            remedy=BACK,
        )
    if refused:
        return _refused(refused, recovered=recovered)
    if finiteness is None:
        return _verdict(Level.UNKNOWN, "Activations, weights and gradients were not looked at.")
    calls = len(finiteness.rows)
    return _verdict(
        Level.PASS,
        f"Loss, weights, gradients and the outputs of all {calls} calls of modules are finite.",
        numbers={"loss": finiteness.figures["loss"]},
    )


def _refused(steps: int, *, recovered: bool) -> Verdict:
    """Judge steps that were refused: they changed nothing, so many are at fault only to the end."""
    many = steps > IN_A_ROW
    after = (
        ", as happens while a scaler looks for its scale"
        if not many
        else "; they were refused, and the training went on after them"
        if recovered
        else ", and none was made after them"
    )
    return _verdict(
        Level.INFO if not many else Level.WARN if recovered else Level.FAIL,
        f"{steps} {'steps' if steps > 1 else 'step'} in a row had a loss or gradient that is not"
        f" finite{after}.",
        numbers={"refused in a row": steps},
        remedy=OVERFLOW if many else None,
    )


def _in_pass(measured: Measurement) -> Verdict | None:
    """Give the verdict on one pass, or None if all is finite."""
    share = measured.figures
    outputs = [n + i for n, i in zip(measured[NAN], measured[INFINITE], strict=True)]
    weights, gradients = _bad(measured, measured["bad in weights"]), _gradients(measured)
    calls = _bad(measured, outputs)
    numbers = {
        "bad in inputs": share["bad in inputs"],
        "bad in targets": share["bad in targets"],
        "calls with bad output": len(calls),
        "modules with bad weights": len(weights),
        "modules with bad gradient": len(gradients),
        "loss": share["loss"],
    }
    if share["bad in inputs"] or share["bad in targets"]:
        part = "inputs" if share["bad in inputs"] else "targets"
        portion = short(share[f"bad in {part}"])
        says = f"The {part} of the batch are not finite (a share of {portion})."
        return _verdict(Level.FAIL, says, numbers=numbers, remedy=CLEAN)
    if weights:
        says = f"Weights are not finite; {weights[0]} is the first module that holds such."
        return _verdict(Level.FAIL, says, numbers=numbers, where=weights, remedy=BACK)
    lost = not share["loss is finite"]
    if calls and (lost or gradients):
        kind = "NaN" if measured[NAN][measured.rows.index(calls[0])] else "infinite numbers"
        says = f"{calls[0]} gives {kind}; it is the first module whose output is not finite."
        return _verdict(Level.FAIL, says, numbers=numbers, where=calls, remedy=OVERFLOW)
    if lost:
        says = f"The loss is {share['loss']}, though the model's output is finite."
        return _verdict(Level.FAIL, says, numbers=numbers, remedy=TARGETS)
    if gradients:
        says = f"The loss is finite, but its gradient is not, from {gradients[0]} back."
        return _verdict(Level.FAIL, says, numbers=numbers, where=gradients, remedy=SINGULAR)
    if calls:
        says = (
            f"{calls[0]} gives numbers that are not finite, but they reach neither the loss nor a"
            " gradient; a mask does this on purpose."
        )
        return _verdict(Level.WARN, says, numbers=numbers, where=calls, remedy=OVERFLOW)
    return None


def _bad(measured: Measurement, shares: Sequence[float]) -> tuple[str, ...]:
    return tuple(name for name, share in zip(measured.rows, shares, strict=True) if share > 0)


def _gradients(measured: Measurement) -> tuple[str, ...]:
    """List the modules with a bad gradient, that nearest to the loss first."""
    return tuple(reversed(_bad(measured, measured["bad in gradient"])))


def _verdict(
    level: Level,
    says: str,
    *,
    numbers: dict[str, float] | None = None,
    where: tuple[str, ...] = (),
    remedy: Cure | None = None,
) -> Verdict:
    return Verdict(
        rule="V0",
        name="numbers that are not finite",
        level=level,
        says=says,
        source="own; steps in a row: as torch's GradScaler refuses them",
        numbers=numbers or {},
        reference="every loss, weight, output and gradient is finite",
        band=f"none that is not; at most {IN_A_ROW} refused steps in a row",
        where=where[:5],
        remedy=remedy,
        confidence="certain for this batch" if level is Level.FAIL else "of one batch",
    )
