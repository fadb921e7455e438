"""A run that was saved, loaded and resumed equals one that was not interrupted, bit for bit."""

import io

import torch

from skipwise.conformity.outcome import Outcome, judged
from skipwise.conformity.rehearsal import equal, finish, rehearsal
from skipwise.strategies import Strategy

STEPS, CUT = 6, 3


def resumes_exactly(strategy: Strategy) -> Outcome:
    """The state passes through a file without pickled code, and the resumed run is the same.

    In float32, which is what runs keep their state in.
    """
    whole = finish(rehearsal(strategy, steps=STEPS, double=False))
    first = finish(rehearsal(strategy, steps=STEPS, double=False), CUT)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = rehearsal(strategy, steps=STEPS, double=False)
    second.restore(torch.load(file, weights_only=True))
    if not equal(first.model.state_dict(), second.model.state_dict()):
        return judged(False, "the weights that were loaded are not those that were saved")
    wanted, found = whole.state(), finish(second).state()
    for part in wanted:
        if not equal(wanted[part], found[part]):
            return judged(False, f"after the resume {part} differs from that of the whole run")
    return judged(True, f"saved after {CUT} of {STEPS} steps and resumed: every tensor is equal")
