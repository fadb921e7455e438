"""Which part of a block carries the stream and which writes to it, read off the graph of a pass.

A block's output depends on the last sum in it past all weights: an activation or a norm may follow.
Of the two summands the *carried* one is the shortcut, if the block names one, or the one that does
not depend on the branch, if the block names that, or the one that reaches the block's input past
all weights. The other is *written*. A carried summand may be the result of an earlier sum, as in a
transformer's layer, which has two. Where these rules do not decide, the block is unknown.
"""

from dataclasses import dataclass
from typing import final

from skipwise.analysis.forward import Sum, Visit
from skipwise.analysis.graph import Point, pulled_back, way_between
from skipwise.shapes import AnyStream

PLAIN = "no skip: every path from its input to its output passes weights"
APART = "its skip and its branch cannot be told apart; name the modules that compute them"
HIDDEN = "a path past all weights meets no sum, so there is a skip of another kind"


@final
@dataclass(frozen=True, kw_only=True)
class Join:
    """A sum in which the stream takes up what was written; None is a constant."""

    result: Point
    carried: Point | None
    written: Point | None


@final
@dataclass(frozen=True, kw_only=True)
class Structure:
    """The sums of a block, the last first, and how sure that is.

    ``unknown`` says why the parts cannot be told apart, and is empty where they can. No joins at
    all and nothing unknown is a plain block.
    """

    joins: tuple[Join, ...] = ()
    unknown: str = ""

    @property
    def plain(self) -> bool:
        """Whether there is no skip."""
        return not self.joins and not self.unknown


def structure_of(visit: Visit) -> Structure:
    """Read the structure of one block off the graph of its visit."""
    at, joins = visit.end, []
    for number in reversed(range(len(visit.sums))):
        addition = visit.sums[number]
        if not way_between(at, addition.result).past_weights:
            continue
        sides = (addition.left, addition.right)
        if not _meets(sides, visit):
            continue
        join, last = _join(addition, visit)
        if join is None:
            return Structure(unknown=APART)
        joins.append(join)
        if last or join.carried is None:
            break
        at = join.carried
    if not joins and way_between(visit.end, visit.start).past_weights:
        return Structure(unknown=HIDDEN)
    return Structure(joins=tuple(joins))


def split_back(
    visit: Visit, structure: Structure, vector: AnyStream
) -> tuple[AnyStream, AnyStream]:
    """Give ``(S ᵀ·v, J_Fᵀ·v)``: what comes back through the skip, and through the branch.

    Each is a product with its own Jacobian; neither is taken as the rest of the other. What follows
    a sum (the activation of the original block) acts on v before it.

    Args:
        visit: The block.
        structure: Its structure, which must be known.
        vector: v, of the shape of the block's output.
    """
    assert not structure.unknown
    if structure.plain:
        return visit.start.zeros(), pulled_back(vector, visit.end, visit.start)
    branch = visit.start.zeros()
    at: Point | None = visit.end
    for join in structure.joins:
        vector = pulled_back(vector, at, join.result)
        branch = branch + pulled_back(vector, join.written, visit.start)
        at = join.carried
    return pulled_back(vector, at, visit.start), branch


def _meets(sides: tuple[Point | None, Point | None], visit: Visit) -> bool:
    """Whether both summands stem from the block's input, or one is a branch that is constant."""
    from_start = [side is not None and way_between(side, visit.start).reaches for side in sides]
    silent = "branch" in visit.parts and visit.parts["branch"] is None
    return all(from_start) or (silent and any(from_start) and None in sides)


def _join(addition: Sum, visit: Visit) -> tuple[Join | None, bool]:
    """Tell carried from written; the second value says whether the skip has no further sum."""
    left, right = addition.left, addition.right
    for part, carries in (("branch", False), ("shortcut", True)):
        if part in visit.parts:
            through = [_depends(side, visit.parts[part]) for side in (left, right)]
            if through[0] != through[1]:
                left_carries = through[0] == carries
                return _joined(addition, left_carries=left_carries), True
    if left is None or right is None:
        return None, True
    past = [way_between(side, visit.start).past_weights for side in (left, right)]
    if past[0] == past[1]:
        return None, True
    return _joined(addition, left_carries=past[0]), False


def _joined(addition: Sum, *, left_carries: bool) -> Join:
    carried, written = addition.left, addition.right
    if not left_carries:
        carried, written = written, carried
    return Join(result=addition.result, carried=carried, written=written)


def _depends(side: Point | None, part: Point | None) -> bool:
    """Whether a summand comes from a part; a part without gradient gives the constant summand."""
    if side is None or part is None:
        return side is None and part is None
    return way_between(side, part).reaches
