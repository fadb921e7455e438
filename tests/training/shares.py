"""What several processes compute together; started by test_processes, once, in every process.

Each scenario is a function of nothing that one process and several compute alike.
"""

import dataclasses
import re
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from skipwise.data import Batch, Batches, Flip, InMemory, Mixup, PadCrop
from skipwise.strategies import Constant, Freezing, Guard, Strategy, adamw, momentum, sam
from skipwise.tasks import Classification
from skipwise.training import (
    Run,
    Step,
    World,
    evaluate,
    guarded,
    join,
    load_checkpoint,
    repeated_blocks,
    replicated,
    save_checkpoint,
    sharded,
    train,
)
from skipwise.training.sharded import whole
from skipwise.watch import Hits, Witness
from skipwise.watch.witness import MISTAKES
from tests.references import rings, tensors

DATA = rings()
SCALES = torch.tensor([0.2, 1.0, 1.5, 3.0, 0.7], dtype=torch.float64)


class Net(nn.Module):
    """A network without batch statistics, in float64; with a frozen and an unused parameter."""

    def __init__(self):
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(144, 5)
        self.frozen, self.unused = nn.Linear(5, 5).requires_grad_(False), nn.Linear(5, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.convolution(x.double()).relu().flatten(1)
        return self.frozen(self.linear(hidden))


class Deep(nn.Module):
    """A network whose layers repeat, which is cut into shares layer by layer."""

    def __init__(self):
        super().__init__()
        layers = [nn.Sequential(nn.Linear(12, 12), nn.Tanh()) for _ in range(3)]
        self.stem, self.layers = nn.Linear(192, 12), nn.Sequential(*layers)
        self.head = nn.Linear(12, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.stem(x.double().flatten(1))))


def plain(output: Tensor, batch: Batch) -> tuple[Tensor, float]:
    return cross_entropy(output, batch.targets, reduction="sum"), len(batch)


def weighted(output: Tensor, batch: Batch) -> tuple[Tensor, float]:
    total = cross_entropy(output, batch.targets, weight=SCALES, reduction="sum")
    return total, float(SCALES[batch.targets].sum())


def run_of(world: World, **changes) -> Run:
    own = {"size": 31, "augmentation": (), "strategy": momentum(), "model": Net, **changes}
    torch.manual_seed(0)
    model = own["model"]()
    strategy = dataclasses.replace(own["strategy"], clip_norm=0.5, weight_decay=0.01)
    shares = world.size > 1 and own.get("shard", False)
    if shares:
        blocks = repeated_blocks(model) or [model.convolution, model.linear]
        model = sharded(model, blocks, world, torch.device("cpu"))
    batches = Batches(
        own.get("data", DATA.train),
        DATA.preprocessing,
        size=own["size"],
        seed=0,
        classes=5,
        augmentation=own["augmentation"],
        device=torch.device("cpu"),
        among=(world.rank, world.size),
    )
    run = Run(
        model=model,
        optimiser=strategy.build(model),
        batches=batches,
        loss=own.get("loss", plain),
        strategy=strategy,
        steps=own.get("steps", 5),
        seed=0,
        parts=own.get("parts", 1),
        world=world,
        spread=replicated(model) if world.size > 1 and not shares else None,
        is_sharded=shares,
        freezable=tuple(model.children())[:1] if strategy.freezing is not None else (),
    )
    return guarded(run)


def trained(**changes) -> Callable[[World], list[Tensor]]:
    def result(world: World) -> list[Tensor]:
        run = run_of(world, **changes)
        steps = list(train(run))
        assert [s.examples for s in steps] == [run.batches.size] * 5
        told = [torch.stack([s.loss.double(), s.gradient_norm]) for s in steps]
        return [*whole(run.model.state_dict()).values(), *told]

    return result


def gone_on_with(world: World) -> list[Tensor]:
    """Three steps in shares, a save, two steps more from it: of weights and optimiser."""
    changes = {"shard": True, "strategy": adamw()}
    first, second = run_of(world, **changes), run_of(world, **changes)
    for step in train(first):
        if step.step == 3:
            break
    kept = first.state()
    assert world.is_first or not tensors(kept["model"])  # only who writes it holds it
    kept = world.broadcast(kept)
    torch.nn.init.ones_(next(second.model.parameters()))
    second.restore(kept)
    list(train(second))
    return tensors([whole(second.model.state_dict()), whole(second.optimiser.state_dict())])


def soft(output: Tensor, batch: Batch) -> tuple[Tensor, float]:
    return cross_entropy(output, batch.targets.double(), reduction="sum"), len(batch)


def evaluated(world: World) -> list[Tensor]:
    model = run_of(World()).model
    part = DATA.train.gather(torch.arange(101))
    record = evaluate(
        model,
        InMemory(*part),
        DATA.preprocessing,
        Classification(classes=5),
        part="validation",
        batch_size=40,
        world=world,
    )
    assert record.examples == 101
    values = [*record.metrics.values(), *(v for c in record.per_class.values() for v in c)]
    return [torch.tensor(values, dtype=torch.float64)]


def witnessed(world: World) -> list[Tensor]:
    """The most confident mistakes, among them examples that say the same, and confusions."""
    model, (inputs, targets) = run_of(World()).model, DATA.train.gather(torch.arange(90))
    part = InMemory(inputs.repeat(2, 1, 1, 1), targets.repeat(2))
    witness = Witness(Classification(classes=5), world)
    record = evaluate(
        model,
        part,
        DATA.preprocessing,
        witness,
        part="validation",
        batch_size=40,
        world=world,
    )
    found = witness.evidence(record, part)
    shown = [(m.index, m.truth, m.said, m.probability) for m in found.mistakes]
    assert len(shown) == len({index for index, *_ in shown}) == MISTAKES
    confusions = torch.as_tensor(found.confusion, dtype=torch.float64)
    return [torch.tensor(shown, dtype=torch.float64), confusions]


def counted(rule: Callable[[], Strategy] = momentum, **changes) -> Callable[[World], list[Tensor]]:
    """The loss and the share of right answers of every step, as the journal has them."""

    def result(world: World) -> list[Tensor]:
        run = run_of(world, strategy=rule(), **changes)
        run.loss = hits = Hits(run.loss, Classification(classes=5))
        told = [(float(step.loss), _number(hits.take())) for step in train(run)]
        return [torch.tensor(told, dtype=torch.float64)]

    return result


def _number(share: Tensor | None) -> float:
    assert share is not None
    return share.item()


def poisoned() -> InMemory:
    """The data with an example that is not finite, which is in the share of one process."""
    inputs, targets = DATA.train.gather(torch.arange(len(DATA.train)))
    inputs = inputs.double()
    inputs[7, 0, 3, 3] = torch.inf
    return InMemory(inputs, targets)


def told(steps: list[Step]) -> Tensor:
    """The guard's sentences, and which steps were skipped and returned from, as numbers.

    By how much a layer grew is measured on a share, so that number is left out.
    """
    said = [f"{s.step} {s.skipped} {s.returned} {' '.join(s.notes)}" for s in steps]
    text = re.sub(r"is \S+ times that", "is times that", "\n".join(said))
    return torch.tensor(list(text.encode()))


def guarding(strategy: Strategy, **changes) -> Callable[[World], list[Tensor]]:
    """Steps that are skipped, and returns: what is left, what was said, how often."""

    def result(world: World) -> list[Tensor]:
        run = run_of(world, strategy=strategy, steps=16, **changes)
        steps = list(train(run))
        assert run.guard is not None
        assert run.guard.returns >= 1
        moments = [m for s in run.optimiser.state_dict()["state"].values() for m in s.values()]
        kept = [
            value for state in run.state()["guard"]["kept"] for value in state["model"].values()
        ]
        counts = torch.tensor([run.guard.returns, run.rate_scale], dtype=torch.float64)
        return [*run.state()["model"].values(), *moments, *kept, counts, told(steps)]

    return result


def frozen(world: World) -> list[Tensor]:
    """A part that stops after two of six steps, and learns again where the run grows longer."""
    strategy = dataclasses.replace(momentum(), freezing=Freezing(first=0.3, last=0.7))
    run, seen = run_of(world, strategy=strategy, steps=6), []
    for _ in train(run):
        seen += [p.detach().clone() for p in run.model.parameters()]
    run.steps = 40
    learning = [p.grad is not None for _ in islice(train(run), 2) for p in run.model.parameters()]
    return [*seen, *run.state()["model"].values(), torch.tensor(learning)]


ONE_BACK = Guard(patience=1, every=3, age=0, returns=9)
WILD = dataclasses.replace(momentum(), peak_lr=1e3, schedule=Constant())

HANDED_ON = {
    "whole": {"parts": 4, "loss": weighted},
    "whole, AdamW": {"strategy": adamw()},
    "sharded": {"shard": True, "strategy": adamw()},
    "sharded layer by layer": {"shard": True, "model": Deep},
}


def begun(world: World, folder: Path) -> None:
    """Three steps of each run, and a save."""
    states = {}
    for name, changes in HANDED_ON.items():
        run = run_of(world, **changes)
        list(islice(train(run), 3))
        states[name] = run.state()
    if world.is_first:
        save_checkpoint(folder, states)


def ended(world: World, folder: Path) -> dict[str, list[Tensor]]:
    """Two steps more of each from its save: their losses, weights and the optimiser's state."""
    states = world.broadcast(load_checkpoint(folder / "last.ckpt") if world.is_first else {})
    found = {}
    for name, changes in HANDED_ON.items():
        run = run_of(world, **changes)
        nn.init.ones_(next(run.model.parameters()))
        run.restore(states[name])
        found[name] = reached(run, list(train(run)))
    return found


def reached(run: Run, steps: list[Step]) -> list[Tensor]:
    state = [whole(run.model.state_dict()), whole(run.optimiser.state_dict())]
    return [*(step.loss.double() for step in steps), *tensors(state)]


SCENARIOS = {
    "an example that is not finite": guarding(
        dataclasses.replace(momentum(), guard=ONE_BACK), data=poisoned()
    ),
    "a rate that explodes": guarding(
        dataclasses.replace(WILD, guard=dataclasses.replace(ONE_BACK, patience=2, factor=1e-4))
    ),
    "frozen and learning again": frozen,
    "uneven shares": trained(),
    "shares of one example and none more": trained(size=3),
    "weighted": trained(loss=weighted),
    "accumulated": trained(parts=4, loss=weighted),
    "augmented": trained(augmentation=(PadCrop(padding=1), Flip())),
    "mixed": trained(augmentation=(Flip(), Mixup()), loss=soft),
    "sharded": trained(shard=True),
    "sharded layer by layer": trained(shard=True, model=Deep),
    "sharded and accumulated": trained(shard=True, parts=4, loss=weighted),
    "sharded and gone on with": gone_on_with,
    "evaluated": evaluated,
    "witnessed": witnessed,
    "right answers": counted(),
    "right answers in parts": counted(parts=4, loss=weighted),
    "right answers where the rule asks twice": counted(sam),
}


def main(path: str, leg: str = "") -> None:
    world = join()
    if leg == "begun":
        begun(world, Path(path).parent)
        return
    if leg == "ended":
        found = ended(world, Path(path).parent)
    else:
        found = {name: scenario(world) for name, scenario in SCENARIOS.items()}
    torch.save(found, f"{path}-{world.rank}")


if __name__ == "__main__":
    main(*sys.argv[1:])
