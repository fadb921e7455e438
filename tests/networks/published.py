"""What others say of our networks' sizes: the one source of the tests and of docs/networks.md.

``torchvision`` stands for the numbers that the library gives with its weights, ``counted`` for a
count layer by layer from the paper's tables, by a program that shares nothing with ours and gives
torchvision's numbers for torchvision's networks.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published size.

    Args:
        parameters: Trainable numbers.
        giga_macs: Billions of multiply-adds of convolutions and linear maps, to three digits.
        source: Whose numbers they are.
    """

    parameters: int
    giga_macs: float | None = None
    source: str = "counted"


def _torchvision(parameters: int, giga_macs: float) -> Published:
    return Published(parameters=parameters, giga_macs=giga_macs, source="torchvision")


SMALL = {  # 3×32×32, ten classes, shortcut A where the paper has it
    "resnet8_w32": Published(parameters=308_650, giga_macs=0.012),
    "resnet18_w32": Published(parameters=2_801_450, giga_macs=0.010),
    "resnet20": Published(parameters=269_722, giga_macs=0.041),
    "resnet32": Published(parameters=464_154),
    "resnet44": Published(parameters=658_586),
    "resnet56": Published(parameters=853_018, giga_macs=0.125),
    "resnet110": Published(parameters=1_727_962, giga_macs=0.253),
    "resnet1202": Published(parameters=19_421_274, giga_macs=2.829),
    "preresnet110": Published(parameters=1_727_962),
    "preresnet164": Published(parameters=1_703_258),
    "preresnet1001": Published(parameters=10_327_706),
    "wide28_10": Published(parameters=36_479_194),
    "wide16_8": Published(parameters=10_961_370),
    "fixup20": Published(parameters=268_393),
    "fixup110": Published(parameters=1_720_138),
}
LARGE = {  # 3×224×224, a thousand classes
    "resnet10_w32": Published(parameters=1_487_240, giga_macs=0.252),
    "resnet18": _torchvision(11_689_512, 1.814),
    "resnet34": _torchvision(21_797_672, 3.664),
    "resnet50": _torchvision(25_557_032, 4.089),
    "resnet50_v1": Published(parameters=25_557_032, giga_macs=3.858),
    "resnet101": _torchvision(44_549_160, 7.801),
    "resnet152": _torchvision(60_192_808, 11.514),
    "resnet50_d": Published(parameters=25_576_264, giga_macs=4.329),
    "resnext50_32x4d": _torchvision(25_028_904, 4.230),
    "wide_resnet50_2": _torchvision(68_883_240, 11.398),
    "resnetv2_50": Published(parameters=25_549_352, giga_macs=4.089),
}
# The paper's plain networks: with shortcut A, exactly as large as the residual ones.
PLAIN = {f"plain{depth}": SMALL[f"resnet{depth}"] for depth in (20, 32, 44, 56, 110, 1202)}
PUBLISHED = {**SMALL, **LARGE, **PLAIN}
