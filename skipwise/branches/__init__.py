"""What is computed off the stream.

Takes x, gives F(x); a description also says what stands before the branch and after the sum.
"""

from skipwise.branches.bottleneck import (
    Bottleneck,
    BottleneckBranch,
    PreActivationBottleneck,
    PreActivationBottleneckBranch,
)
from skipwise.branches.branch import Branch, Zero
from skipwise.branches.convolution import Basic, BasicBranch, PreActivation, PreActivationBranch
from skipwise.branches.fixup import Fixup, FixupBottleneck, FixupBranch
from skipwise.branches.perceptron import Perceptron, PerceptronBranch

__all__ = [
    "Basic",
    "BasicBranch",
    "Bottleneck",
    "BottleneckBranch",
    "Branch",
    "Fixup",
    "FixupBottleneck",
    "FixupBranch",
    "Perceptron",
    "PerceptronBranch",
    "PreActivation",
    "PreActivationBottleneck",
    "PreActivationBottleneckBranch",
    "PreActivationBranch",
    "Zero",
]
