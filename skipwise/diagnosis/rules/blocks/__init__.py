"""The rules on the blocks of a network and its depth: V1, V6, V7, V8, V9 and V13.

Takes measurements of ``analysis`` that have a row for each block, gives verdicts.
"""

from skipwise.diagnosis.rules.blocks.collapse import collapse
from skipwise.diagnosis.rules.blocks.depth import depth
from skipwise.diagnosis.rules.blocks.ignored import ignored
from skipwise.diagnosis.rules.blocks.initialisation import initialisation
from skipwise.diagnosis.rules.blocks.shattered import shattered
from skipwise.diagnosis.rules.blocks.unused_depth import unused_depth

__all__ = ["collapse", "depth", "ignored", "initialisation", "shattered", "unused_depth"]
