"""V6: is there a block whose branch does nothing?"""

import math
from collections.abc import Sequence
from functools import partial
from statistics import median

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import by_network, by_training, joined
from skipwise.diagnosis.verdict import Level, Verdict

SHARE = 1e-2  # of the forward second moment
ENERGY = 1e-2  # ‖g_branch‖/‖g_skip‖
APART = 1e-2  # an ignored block among used ones: its share below so many times the median
LEARNS = (
    "see that the branch learns: its parameters must require a gradient, stand in the optimiser"
)
WAKE = joined((
    by_training(
        f"{LEARNS} and not be frozen (--freeze, --set strategy.freezing=null); a learned scale or γ"
        " that stays at zero gets a higher rate (--set strategy.rates.scale=10, --set"
        " strategy.rates.norm=10)",
        module=f"{LEARNS} and get through what stands behind it (no detach()); a learned scale or γ"
        " that stays at zero gets a higher rate, in a parameter group of its own",
    ),
    by_network(
        "else the block can go: --set network.blocks=[3,3,2]", module="else the block can go"
    ),
))

_verdict = partial(
    Verdict,
    rule="V6",
    name="branch ignored",
    source="own: three witnesses; lesions: Veit et al. (2016)",
    reference="ΔL of the lesion, f = E F²/E y², ρ = ‖g_branch‖/‖g_skip‖",
    band=f"ignored only if ΔL's interval holds 0, f < {SHARE:g} and ρ < {ENERGY:g}, all three",
    confidence="grows with the batch, whose examples make the interval of the lesion",
)


def ignored(
    *,
    lesions: Measurement | None = None,
    split: Measurement | None = None,
    trained: bool | None = None,
) -> Verdict:
    """Judge which blocks are nothing but their skip.

    A block is ignored if all three say so: the 95 % interval of the loss's change without its
    branch holds 0; the branch's share f of the second moment at the sum is below 0.01; and the
    branch brings back less than 0.01 of the gradient's norm that the skip does (ρ). One of them
    alone is no evidence: two blocks may cover each other, and a small share may matter.

    FAIL, if the network is trained and the other blocks are used: f is below a hundredth of the
    median over all blocks. WARN, if most are ignored, which also happens early where branches start
    at zero, or if it is not known whether it is trained. INFO at the start.

    Args:
        lesions: The measurement of that name; without it nothing is accused.
        split: The measurement ``gradient_split`` on the same blocks.
        trained: Whether the weights have been trained; None if that is not known.

    Source: three witnesses: own; that a cosine or a share alone misleads: arXiv 2605.14075.
    """
    if lesions is None or split is None:
        missing = "Lesions were" if lesions is None else "The gradient's two parts were"
        return _verdict(level=Level.UNKNOWN, says=f"{missing} not measured.")
    if lesions.rows != split.rows:
        return _verdict(level=Level.UNKNOWN, says="The two measurements are of other blocks.")
    judged = [row for row in range(len(split.rows)) if _is_known(row, lesions, split)]
    if not judged:
        says = "No block has a skip that could do without its branch."
        return _verdict(level=Level.UNKNOWN, says=says)
    return _judged(lesions, split, judged, trained=trained)


def _judged(
    lesions: Measurement, split: Measurement, judged: Sequence[int], *, trained: bool | None
) -> Verdict:
    """Judge the blocks of which all three numbers are known."""
    share = split["forward share"]
    found = [row for row in judged if _is_ignored(row, lesions, split)]
    least = min(found or judged, key=lambda row: share[row])
    middle = median(share[row] for row in judged)
    numbers = {
        "blocks judged": len(judged),
        "ignored": len(found),
        "median forward share": middle,
        "least forward share": share[least],
        "its energy ratio": split["energy ratio"][least],
        "its change of loss": lesions["change of loss"][least],
    }
    if not found:
        says = (
            f"None of {len(judged)} blocks is ignored; the least share that a branch writes is"
            f" {short(share[least])} ({split.rows[least]})."
        )
        return _verdict(level=Level.PASS, says=says, numbers=numbers)
    level = _level(share[least], middle, trained=trained)
    names = [split.rows[row] for row in sorted(found, key=lambda row: share[row])]
    return _verdict(
        level=level,
        says=_sentence(names, len(judged), level),
        numbers=numbers,
        where=tuple(names),
        remedy=None if level is Level.INFO else WAKE,
    )


def _is_known(row: int, lesions: Measurement, split: Measurement) -> bool:
    columns = (split["forward share"], split["energy ratio"], lesions["change of loss"])
    return not any(math.isnan(column[row]) for column in columns)


def _is_ignored(row: int, lesions: Measurement, split: Measurement) -> bool:
    low, high = lesions["low"][row], lesions["high"][row]
    without_effect = low <= 0 <= high or lesions["change of loss"][row] == 0
    small = split["forward share"][row] < SHARE and split["energy ratio"][row] < ENERGY
    return without_effect and small


def _level(share: float, middle: float, *, trained: bool | None) -> Level:
    if trained is False:
        return Level.INFO
    return Level.FAIL if trained and share < APART * middle else Level.WARN


def _sentence(names: Sequence[str], judged: int, level: Level) -> str:
    blocks = f"{names[0]} is" if len(names) == 1 else f"{len(names)} of {judged} blocks are"
    says = f"{blocks} nothing but a skip: the branch writes, brings back and changes nothing"
    if level is Level.INFO:
        return f"{says}; at the start that is by design (ReZero, SkipInit, zero γ, Fixup)."
    if level is Level.FAIL:
        return f"{says}, while other blocks are used."
    return f"{says}; branches that start at zero look so in the first steps too."
