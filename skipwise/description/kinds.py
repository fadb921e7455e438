"""What every frozen choice sees to first: its values are of the kinds that its fields name."""

import dataclasses

from skipwise.description.plain import fit_but_whole, hints_of


class Description:
    """What the frozen dataclasses of a strategy have in common.

    A ``__post_init__`` of a member's own calls this one first, so that what it compares are
    numbers. What YAML may say, a list for a tuple, may be given here too.
    """

    def __post_init__(self):
        hints = hints_of(type(self))
        for each in dataclasses.fields(self):  # pyright: ignore[reportArgumentType] - all are
            if each.init:
                value = fit_but_whole(getattr(self, each.name), hints[each.name], each.name)
                object.__setattr__(self, each.name, value)
