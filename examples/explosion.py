"""A network that explodes, without and with the guard: the same weights, batches and rate.

Eight convolutions in a row, without skips, norms and biases, whose weights start at 1.5 times He's
deviation: the signal grows 1.5-fold in every layer, and the gradient with it. At a rate of 0.1 the
first updates destroy the network. The guard skips steps that are not finite, notices units that
died, returns to the last good state and lowers the rate to a tenth each time. Of five seeds four
are trained; in the fifth most units die in steps that hardly raise the loss: it does not see that.

Run: ``.venv/bin/python examples/explosion.py``, some seconds a seed, on scikit-learn's digits.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from skipwise.data import Batches, Dataset, Digits
from skipwise.strategies import Constant, Guard, nesterov
from skipwise.tasks import Classification
from skipwise.training import Diverged, Run, evaluate, guarded, train

DEPTH, WIDTH, GAIN = 8, 8, 1.5
TASK = Classification(classes=10)


def exploding_network(seed: int) -> nn.Sequential:
    """Make the plain network, for grey pictures of 8×8."""
    noise, layers, before = torch.Generator().manual_seed(seed), [], 1
    for _ in range(DEPTH):
        layer = nn.Conv2d(before, WIDTH, 3, padding=1, bias=False)
        deviation = GAIN * (2 / (9 * before)) ** 0.5
        layer.weight.data = deviation * torch.randn(layer.weight.shape, generator=noise)
        layers, before = [*layers, layer, nn.ReLU()], WIDTH
    head = nn.Linear(64 * WIDTH, 10, bias=False)
    head.weight.data = torch.randn(head.weight.shape, generator=noise) / (64 * WIDTH) ** 0.5
    return nn.Sequential(*layers, nn.Flatten(), head)


def trained(dataset: Dataset, seed: int, guard: Guard | None, steps: int) -> tuple[float, str]:
    """Train once; give the test accuracy, and what happened in words."""
    strategy = replace(nesterov(), peak_lr=0.1, schedule=Constant(), weight_decay=0.0, guard=guard)
    model = exploding_network(seed)
    device = torch.device("cpu")
    batches = Batches(dataset.train, dataset.preprocessing, size=64, seed=seed, device=device)
    run = Run(
        model=model,
        optimiser=strategy.build(model),
        batches=batches,
        loss=TASK.loss,
        strategy=strategy,
        steps=steps,
        seed=seed,
    )
    try:
        taken = list(train(guarded(run)))
    except Diverged as error:
        return 0.0, str(error)
    assert dataset.test is not None
    record = evaluate(run.model, dataset.test, dataset.preprocessing, TASK, part="test")
    returns = sum("the run returned" in note for step in taken for note in step.notes)
    skipped = sum(step.skipped for step in taken)
    words = f"{skipped} steps skipped, {returns} returns, {run.rate_scale:g} times the rate"
    return record.metrics["accuracy"], words if guard else "nothing is done about it"


def main(seeds: Sequence[int] = (0, 1, 2, 3, 4), steps: int = 300) -> dict[str, list[float]]:
    """Print a line for each seed without and with the guard; give the test accuracies."""
    dataset = Digits().load()
    found: dict[str, list[float]] = {}
    print("guard  seed  test accuracy")
    for name, guard in (("off", None), ("on", Guard())):
        for seed in seeds:
            accuracy, words = trained(dataset, seed, guard, steps)
            found.setdefault(name, []).append(accuracy)
            print(f"{name:<6} {seed:>4}  {accuracy:>13.1%}  {words}")
    return found


if __name__ == "__main__":
    main()
