"""Rules of the package pytorch-optimizer (extra ``optimizers``), behind our descriptions.

Takes parameter groups, gives torch optimisers.
"""

from skipwise.strategies.optimisers.borrowed.corrected import ADOPT, MARS
from skipwise.strategies.optimisers.borrowed.curvature import SOAP, Shampoo
from skipwise.strategies.optimisers.borrowed.large_batches import LAMB, LARS
from skipwise.strategies.optimisers.borrowed.loading import NotInstalled
from skipwise.strategies.optimisers.borrowed.momenta import Adan, Lion
from skipwise.strategies.optimisers.borrowed.tuning_free import (
    Prodigy,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)

__all__ = [
    "ADOPT",
    "LAMB",
    "LARS",
    "MARS",
    "SOAP",
    "Adan",
    "Lion",
    "NotInstalled",
    "Prodigy",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
]
