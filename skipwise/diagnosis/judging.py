"""All rules, each handed what it asks for, or None where that was not measured."""

import math
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.optim import SGD

from skipwise.analysis import Measurement, Rule, nearest_design
from skipwise.diagnosis import rules
from skipwise.diagnosis.findings import Findings
from skipwise.diagnosis.plan import is_of_all, rate_of
from skipwise.diagnosis.rehearsal import Rehearsal
from skipwise.diagnosis.subject import Subject, size_of
from skipwise.diagnosis.verdict import Level, Verdict

NEEDED = MappingProxyType({
    "V1": ("signal",),
    "V2": ("rehearsal",),
    "V3": ("rehearsal",),
    "V4": ("batch sharpness",),
    "V5": ("units",),
    "V6": ("gradient split", "lesions"),
    "V7": ("effective depth",),
    "V8": ("shattering",),
    "V9": ("state ranks",),
    "V10": ("generalisation",),
    "V11": ("normalisation",),
    "V12": ("gradient noise",),
    "V13": ("signal",),
})  # what a rule cannot do without
OF_BLOCKS = ("V1", "V6", "V7", "V8", "V9", "V13")

ROOTS = ("V0", "V4", "V5")  # what explains others, the first cause first
FOLLOWING = ("V1", "V3", "V8", "V9", "V11", "V12")
EARLY = 100  # updates, before which a branch that starts at zero may still write next to nothing
SILENT = 1e-4  # of the second moment at a block's sum: so little is next to nothing


def judged(subject: Subject, found: Findings) -> tuple[Verdict, ...]:
    """Give the verdicts V0 to V13, in the order of their numbers."""
    verdicts = (*_of_training(subject, found), *_of_blocks(subject, found))
    explained = [_explained(verdict, subject, found) for verdict in verdicts]
    explained.sort(key=lambda verdict: int(verdict.rule.removeprefix("V")))
    return led_back(tuple(explained))


def led_back(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Where a fault was found that explains others, let their cure be to mend that one first."""
    faults = [v.rule for v in verdicts if v.level is Level.FAIL and v.rule in ROOTS]
    root = next((rule for rule in ROOTS if rule in faults), "")
    if not root:
        return verdicts
    follow = ROOTS[ROOTS.index(root) + 1 :] + FOLLOWING
    words = f"mend {root} first: it may be the cause of this"
    led = [v.rule for v in verdicts if v.cure and v.rule in follow and _may_follow(v)]
    return tuple(replace(v, cure=words, remedy=None) if v.rule in led else v for v in verdicts)


def _may_follow(verdict: Verdict) -> bool:
    """A fault by itself stands beside the root, unless it is one that another root leads to."""
    return verdict.level is not Level.FAIL or verdict.rule in ROOTS


def _explained(verdict: Verdict, subject: Subject, found: Findings) -> Verdict:
    """Say of what is not known why it was not measured, which a rule cannot know."""
    if verdict.level is not Level.UNKNOWN:
        return verdict
    if verdict.rule == "V11" and not subject.statistics and "all else" not in found.failed:
        says = "Does not apply: no norm of this network keeps running statistics."
        return replace(verdict, level=Level.PASS, says=says)
    names = (
        *NEEDED.get(verdict.rule, ()),
        "all else",
        *(("blocks",) * (verdict.rule in OF_BLOCKS)),
    )
    whys = [f"{name}: {found.failed[name]}" for name in names if name in found.failed]
    if not whys:
        return verdict
    return replace(_without_cure(verdict), says=f"Not known: {whys[0]}.")


def _of_training(subject: Subject, found: Findings) -> tuple[Verdict, ...]:
    history, steps = subject.history, _awake(subject, found)
    peak = history.peak_rate if history is not None and history.rates else None
    losses = () if history is None else history.taken_losses
    sharpness = found.get("batch sharpness")
    seen = sharpness is not None and "seen / limit" in sharpness.figures
    plain = seen or isinstance(subject.optimiser, SGD | Rule | None)
    return (
        rules.finite(
            finiteness=found.get("finiteness"),
            loss=losses[-1] if losses else None,
            refused=_in_a_row(() if history is None else history.broken),
            recovered=history is not None and history.recovered,
        ),
        rules.lost_updates(rehearsal=steps, peak_rate=peak),
        rules.rate(
            rehearsal=steps,
            invariant=found.invariant,
            trained_steps=None if history is None else len(history.steps),
            peak_rate=peak,
        ),
        rules.stability(
            spectrum=found.get("hessian spectrum"),
            sharpness=sharpness,
            rehearsal=steps,
            history=history,
            guessing=_guessing(found) if subject.trained else math.nan,
            full_batch=is_of_all(subject),
            preconditioned=not plain,
        ),
        rules.dead_units(
            units=found.get("units"),
            zero_gamma=found.marked("units", "after zero scale"),
            after_sum=found.marked("units", "after a sum"),
        ),
        rules.overfitting(gap=found.get("generalisation"), history=history),
        rules.batch_statistics(
            normalisation=found.get("normalisation"),
            rate_share=_rate_share(subject, peak),
            guessing=_guessing(found),
        ),
        rules.batch_size(noise=found.get("gradient noise"), size=size_of(subject.batches[0])),
    )


def _guessing(found: Findings) -> float:
    gap = found.get("generalisation")
    return math.nan if gap is None else gap.figures.get("loss of guessing", math.nan)


def _awake(subject: Subject, found: Findings) -> Rehearsal | None:
    """Leave out of the steps what waits for a layer that starts at zero, while it is early.

    Before a layer of zeros there is no gradient, and before one of nearly zeros next to none, so
    that weights hardly move in the first steps of a healthy training: those of a branch whose last
    layer starts so (V6 tells of them), and all where the head does.
    """
    steps, split, signal = found.rehearsal, found.get("gradient split"), found.get("signal")
    taken = 0 if subject.history is None else len(subject.history.steps)
    if steps is None or split is None or taken >= EARLY:
        return steps
    shares = zip(split.rows, split["forward share"], strict=True)
    asleep = tuple(f"{block}." for block, share in shares if share < SILENT)
    waiting = signal is not None and not any(signal["gradient norm"])
    moved = {
        name: each
        for name, each in steps.moved.items()
        if not name.startswith(asleep) and not (waiting and each.length)
    }
    return replace(steps, moved=moved)


def _rate_share(subject: Subject, peak: float | None) -> float | None:
    """Give the rate as a share of its highest, None where one of them is not known."""
    if peak is None or not peak > 0 or subject.optimiser is None:
        return None
    return (rate_of(subject.optimiser) or 0.0) / peak


def _of_blocks(subject: Subject, found: Findings) -> tuple[Verdict, ...]:
    trained = subject.trained
    signal, ranks = found.get("signal"), found.get("state ranks")
    begun = found.get("signal at the start")
    ignored = rules.ignored(
        lesions=found.get("lesions"), split=found.get("gradient split"), trained=trained
    )
    count = ignored.numbers.get("ignored")
    skipless = (  # what they advise is a skip
        rules.shattered(shattering=found.get("shattering")),
        rules.collapse(ranks=ranks, signal=signal, classes=_classes(subject), trained=trained),
    )
    return (
        _depth(signal, begun, trained=trained, normed=subject.normed),
        ignored,
        rules.unused_depth(
            effective=found.figure("effective depth", "effective depth"),
            blocks=None if subject.sites is None else len(subject.sites),
            design=None if signal is None else nearest_design(signal),
            probes=found.get("linear probes"),
            ignored=None if count is None else int(count),
            trained=trained,
        ),
        *(_without_cure(verdict) if _has_skips(signal) else verdict for verdict in skipless),
        rules.initialisation(
            signal=signal if begun is None else begun,
            trained=trained if begun is None else False,
        ),
    )


def _depth(
    signal: Measurement | None, begun: Measurement | None, *, trained: bool | None, normed: bool
) -> Verdict:
    """Judge the depth now, and at the start: training flattens what had hindered it."""
    now = rules.depth(signal=signal, trained=trained, normed=normed)
    start = rules.depth(signal=begun, trained=False, normed=normed)
    if start.level is not Level.FAIL or now.level in (Level.FAIL, Level.WARN):
        return now
    says = f"At the start of the training, not now: {start.says}"
    return replace(start, level=Level.WARN, says=says)


def _without_cure(verdict: Verdict) -> Verdict:
    return replace(verdict, cure="", remedy=None)


def _has_skips(signal: Measurement | None) -> bool:
    """Whether the blocks have the skips that would be the cure; designs with them were compared."""
    return signal is not None and any("residual" in name for name in signal.figures)


def _classes(subject: Subject) -> int | None:
    """Count the classes that occur, where targets are classes."""
    targets = [pair[1] for pair in subject.batches]
    if not all(isinstance(t, Tensor) and t.dim() == 1 for t in targets):
        return None
    joined = torch.cat(targets)
    return None if joined.is_floating_point() else len(joined.unique())


def _in_a_row(steps: tuple[int, ...]) -> int:
    """Give the length of the longest run of steps that follow each other."""
    longest = length = 0
    for before, step in zip((None, *steps), steps, strict=False):
        length = length + 1 if before is not None and step == before + 1 else 1
        longest = max(longest, length)
    return longest
