"""An experiment: network × data × strategy × length × seed, complete; the place where all meet.

``Experiment`` is the frozen description, which ``compose`` makes of what a user gives; ``build``
makes the Run that the loop trains; ``skipwise.runs`` trains and resumes it in a folder.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from skipwise.data import (
    NUMBERS,
    Augmentation,
    Batches,
    Data,
    Dataset,
    Mixing,
    Preprocessing,
    Views,
    check_pictures,
)
from skipwise.defaults import BATCH_SIZE
from skipwise.description import Call
from skipwise.finetuning import (
    TRUNK,
    begin_from,
    distances_from_head,
    freezable_parts,
    freeze_parts,
    prepared,
)
from skipwise.networks import (
    Network,
    NetworkDescription,
    build_network,
    check_reads,
    drawn_in_training,
)
from skipwise.randomness import seeded
from skipwise.strategies import Strategy, strategy_notes
from skipwise.tasks import Task, asked, plain_task
from skipwise.training import (
    ALONE,
    CHOICES,
    PRECISIONS,
    Average,
    Run,
    World,
    autocast_type,
    can_shard,
    check_shares,
    choose_device,
    guarded,
    place_model,
    repeated_blocks,
    replicated,
    settle_kernels,
    sharded,
    share_statistics,
)

ENDLESS = 10**9  # steps, where a length in time lets nothing be called too short
UNFITTED_STEPS = 10_000  # of a run whose length is a time, until its first steps are measured


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All that decides how a run goes.

    Args:
        data: What is learned from.
        network: What learns; a function of the user's own is a Call.
        strategy: How.
        epochs: Length, in passes over the training part; give one of the three lengths.
        steps: Length, in updates.
        seconds: Length, in time; the schedule is fitted to it.
        seed: Of initial weights, order, augmentation and all other noise.
        batch_size: Examples an update.
        parts: A batch is computed in so many parts whose gradients add up, to save memory.
        metric: What best weights, patience and target go by, ``"balanced_accuracy"`` for example;
            None is the metric of the task.
        patience: Stop after so many evaluations without a better one; 0 never stops.
        target: Stop where the metric on validation data reaches it; None never stops.
        doublings: With a target, so many times the run may double to reach it.
        augmentation: Of training pictures; None takes what suits the data.
        class_weights: Whether rare classes weigh more in the loss, so that all have the same share.
        views: Over which views of a picture the outputs are averaged when the network is used.
        precision: ``"auto"`` (bfloat16 where the hardware is faster, float32 for regression),
            ``"float32"`` or ``"bfloat16"``.
        compile: Whether torch.compile compiles the network: ``"on"``, ``"off"`` or ``"auto"`` (in a
            long run, if that is measured to be faster).
        save_seconds: Longest time between two saves.
        weights: A file, or a run's folder, that the network begins from; None begins anew.
        freeze: What stays as it is: the stem and so many blocks, or ``"trunk"``, all but the head.
        preprocessing: From a raw input to what the network reads; None is fitted to the data.
        sync_norms: Whether several processes normalise by the statistics of the whole batch, not
            each by those of its share; on GPUs.
        shard: Whether each of several processes keeps only a share of every parameter, for
            networks that do not fit.
    """

    data: Data
    network: NetworkDescription | Call
    strategy: Strategy
    epochs: float | None = None
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    batch_size: int = BATCH_SIZE
    parts: int = 1
    metric: str | None = None
    patience: int = 0
    target: float | None = None
    doublings: int = 0
    augmentation: tuple[Augmentation | Mixing, ...] | None = None
    class_weights: bool = False
    views: Views | None = None
    precision: str = "auto"
    compile: str = "auto"
    save_seconds: float = 60.0
    weights: str | None = None
    freeze: int | str | None = None
    preprocessing: Preprocessing | None = None
    sync_norms: bool = False
    shard: bool = False

    def __post_init__(self):
        lengths = {"epochs": self.epochs, "steps": self.steps, "seconds": self.seconds}
        given = {name: value for name, value in lengths.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                f"give one length, epochs, steps or a time; got {', '.join(given) or 'none'}"
            )
        positive = {**given, "batch_size": self.batch_size, "parts": self.parts}
        for name, value in {**positive, "save_seconds": self.save_seconds}.items():
            if not value > 0 or not math.isfinite(value):
                raise ValueError(f"{name} must be positive, got {value}")
        self._check_ends()
        if self.parts > self.batch_size:
            raise ValueError(f"a batch of {self.batch_size} cannot be cut into {self.parts} parts")
        is_count = isinstance(self.freeze, int) and self.freeze >= 0
        if self.freeze not in (None, TRUNK) and not is_count:
            raise ValueError(
                f"freeze must be a number of blocks, counted from the stem, or {TRUNK!r} for all"
                f" but the head; got {self.freeze!r}"
            )
        kinds = [type(augmentation).__name__ for augmentation in self.augmentation or ()]
        twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} stands twice in the augmentation, with the same draws")
        words = {"precision": (self.precision, PRECISIONS), "compile": (self.compile, CHOICES)}
        for name, (word, choices) in words.items():
            if word not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {word!r}")

    def _check_ends(self):
        if self.target is not None and not math.isfinite(self.target):
            raise ValueError(f"target must be a finite number, got {self.target}")
        if self.doublings < 0 or (self.doublings and self.target is None):
            raise ValueError(
                f"doublings are for a target and not negative; got {self.doublings} with target"
                f" {self.target}"
            )
        if self.patience < 0:
            raise ValueError(
                f"patience must not be negative, got {self.patience}; 0 never stops early"
            )

    def planned_steps(self, examples: int) -> int:
        """Give the number of updates on a training part of so many examples."""
        if self.steps is not None:
            return self.steps
        if self.epochs is None:
            return UNFITTED_STEPS
        return max(math.ceil(self.epochs * examples / min(self.batch_size, examples)), 1)


def task_of(dataset: Dataset, experiment: Experiment) -> Task:
    """Read the task off the data, and give it what the experiment asks of it.

    Raises:
        ValueError: If that does not go together.
    """
    used = experiment.preprocessing or dataset.preprocessing
    return asked(
        plain_task(dataset.task, len(dataset.classes), unit=used.target_scale),
        smoothing=experiment.strategy.label_smoothing,
        loss=experiment.strategy.loss,
        weighed=experiment.class_weights,
        counts=dataset.counts,
        metric=experiment.metric,
    )


def build(
    experiment: Experiment,
    dataset: Dataset,
    *,
    resumed: bool = False,
    world: World = ALONE,
    device: torch.device | None = None,
) -> tuple[Run, Task]:
    """Make the Run, at step 0.

    Args:
        experiment: What is run.
        dataset: Its data, loaded.
        resumed: Whether a checkpoint is to follow, so that no file of weights is read again.
        world: The processes that share the run.
        device: Where it is computed; the best there is if None.

    Raises:
        ValueError: If the parts do not go together; the message says which.
    """
    device, task = device or choose_device(), task_of(dataset, experiment)
    model, frozen, notes = _model(experiment, dataset, device, world, resumed=resumed)
    dataset = prepared(dataset, experiment.preprocessing)
    batches = _batches(experiment, dataset, device, world)
    strategy = experiment.strategy.for_batches(batches.size)
    shards = experiment.shard and can_shard(world, strategy, resumed=resumed)
    blocks = model.trunk.blocks if isinstance(model, Network) else repeated_blocks(model)
    model = sharded(model, blocks, world, device) if shards else place_model(model, device)
    _look(experiment, model, dataset, device, wanted=not (shards or resumed))
    distances = distances_from_head(model) if strategy.layer_decay != 1.0 else None
    run = Run(
        model=model,
        optimiser=strategy.build(model, distances),
        batches=batches,
        loss=task.loss,
        strategy=strategy,
        steps=experiment.planned_steps(len(dataset.train)),
        seed=experiment.seed,
        parts=experiment.parts,
        autocast=_precision(experiment, dataset, device),
        average=Average(model) if strategy.evaluates_copy else None,
        frozen=frozen,
        notes=notes if resumed else (*notes, *_told(experiment, batches, model, frozen)),
        world=world,
        spread=None if shards or world.size == 1 else replicated(model),
        is_sharded=shards,
        freezable=freezable_parts(model) if strategy.freezing is not None else (),
    )
    return guarded(run, is_new=not resumed), task


def _told(
    experiment: Experiment, batches: Batches, model: nn.Module, frozen: tuple[nn.Module, ...]
) -> tuple[str, ...]:
    size, examples = batches.size, len(batches.examples)
    augmentation = (type(part).__name__ for part in (*batches.single, *batches.mixing))
    drawn = (*augmentation, *drawn_in_training(model, without=frozen))
    steps = ENDLESS if experiment.seconds is not None else experiment.planned_steps(examples)
    return strategy_notes(experiment.strategy, size, examples, steps, drawn)


def _precision(
    experiment: Experiment, dataset: Dataset, device: torch.device
) -> torch.dtype | None:
    found = autocast_type(experiment.precision, device, exact=dataset.task == NUMBERS)
    settle_kernels(device)
    return found


def _look(
    experiment: Experiment,
    model: nn.Module,
    dataset: Dataset,
    device: torch.device,
    *,
    wanted: bool,
) -> None:
    """Refuse a network of the user's own that cannot read the examples; ours are checked as built.

    Raises:
        ValueError: If a layer does not fit.
    """
    if wanted and isinstance(experiment.network, Call):
        with seeded(experiment.seed, "first look"):
            check_reads(model, dataset.ends, of=experiment.network.target, device=device)


def _batches(
    experiment: Experiment, dataset: Dataset, device: torch.device, world: World
) -> Batches:
    augmentation = (
        dataset.augmentation if experiment.augmentation is None else experiment.augmentation
    )
    check_pictures(augmentation, experiment.views, dataset.ends)
    batches = Batches(
        dataset.train,
        dataset.preprocessing,
        size=experiment.batch_size,
        seed=experiment.seed,
        augmentation=augmentation,
        classes=len(dataset.classes),
        device=device,
        among=(world.rank, world.size),
    )
    held = {"validation": dataset.validation, "test": dataset.test}
    sizes = {name: len(part) for name, part in held.items() if part is not None}
    check_shares(world, batch=batches.size, parts=experiment.parts, held=sizes)
    return batches


def _model(
    experiment: Experiment, dataset: Dataset, device: torch.device, world: World, *, resumed: bool
) -> tuple[nn.Module, tuple[nn.Module, ...], tuple[str, ...]]:
    """Make the network, with its frozen parts and what is to be said of both."""
    with seeded(experiment.seed, "initialise"):
        ends = prepared(dataset, experiment.preprocessing).ends
        model = build_network(experiment.network, ends)
    weights = None if resumed else experiment.weights
    notes = () if weights is None else begin_from(weights, model, dataset)
    frozen = freeze_parts(model, experiment.freeze)
    if frozen and not resumed:
        learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        notes = (*notes, f"frozen parts stay as they are: {learning:,} numbers learn")
    model, of_norms = share_statistics(
        model, device, world, synchronised=experiment.sync_norms, resumed=resumed
    )
    return model, frozen, notes if resumed else (*notes, *of_norms)
