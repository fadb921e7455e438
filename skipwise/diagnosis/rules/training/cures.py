"""What mends a training's rate, which several rules advise."""

from skipwise.diagnosis.cure import by_training

HIGHER = by_training(
    "a higher strategy.peak_lr: skipwise find-rate DATA looks for it",
    module="a higher rate of the optimiser",
)
LOWER = by_training(
    "a lower strategy.peak_lr: skipwise find-rate DATA looks for it",
    module="a lower rate of the optimiser",
)
WARMER = by_training(
    "a longer warm-up: --set strategy.schedule.warmup=0.2",
    module="a longer warm-up: torch.optim.lr_scheduler.LinearLR",
)
