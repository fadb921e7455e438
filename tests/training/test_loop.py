"""The loop against one written by hand; accumulation, clipping, evaluation, what is left alone."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skipwise.data import Batch, Batches, in_order
from skipwise.networks import resnet20
from skipwise.strategies import Strategy, momentum, sgd, shampoo
from skipwise.tasks import Classification
from skipwise.training import Diverged, Run, evaluate, train
from tests.references import close, rings

CPU = torch.device("cpu")
DATA = rings()
TASK = Classification(classes=5)


def a_run(
    strategy: Strategy, *, parts: int = 1, steps: int = 4, model: nn.Module | None = None
) -> Run:
    torch.manual_seed(0)
    if model is None:
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    batches = Batches(DATA.train, DATA.preprocessing, size=30, seed=0, device=CPU)
    optimiser = strategy.build(model)
    return Run(
        model=model,
        optimiser=optimiser,
        batches=batches,
        loss=TASK.loss,
        strategy=strategy,
        steps=steps,
        seed=0,
        parts=parts,
    )


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def gradient(run: Run) -> torch.Tensor:
    parts = [p.grad for p in run.model.parameters() if p.grad is not None]
    assert len(parts) == len(list(run.model.parameters()))
    return torch.cat([g.flatten() for g in parts])


def test_the_loop_equals_a_loop_written_by_hand():
    strategy = replace(momentum(), weight_decay=0.01)
    run, twin = a_run(strategy), a_run(strategy)
    steps = list(train(run))
    layers = list(twin.model.parameters())
    velocity = [torch.zeros_like(p) for p in layers]
    for t in range(4):
        batch = twin.batches[t]
        loss = nn.functional.cross_entropy(twin.model(batch.inputs), batch.targets)
        gradients = torch.autograd.grad(loss, layers)
        rate = 0.1 * strategy.schedule.factor(t, 4)
        close(steps[t].loss, loss.detach())
        close(steps[t].gradient_norm, torch.cat([g.flatten() for g in gradients]).norm())
        assert steps[t].rate == rate
        for p, g, v in zip(layers, gradients, velocity, strict=True):
            v.mul_(0.9).add_(g + (0.01 * p.detach() if p.dim() > 1 else 0))
            p.data.sub_(rate * v)
    close(weights(run), weights(twin))


@pytest.mark.parametrize("parts", [2, 3, 7, 30, 100])
def test_accumulated_parts_equal_the_whole_batch(parts: int):
    whole, cut = a_run(sgd()), a_run(sgd(), parts=parts)
    for a, b in zip(train(whole), train(cut), strict=True):
        torch.testing.assert_close(a.loss, b.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights(whole), weights(cut), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("number", [float, torch.Tensor.clone], ids=["number", "tensor"])
def test_the_gradient_of_weighted_classes_is_that_of_the_weighted_mean(parts: int, number):
    scales = torch.tensor([0.2, 1.0, 1.5, 3.0, 0.7])

    def weighted(output: torch.Tensor, batch: Batch):
        total = nn.functional.cross_entropy(output, batch.targets, scales, reduction="sum")
        return total, number(scales[batch.targets].sum())

    run, twin = a_run(sgd(), parts=parts), a_run(sgd())
    run.loss, batch = weighted, twin.batches[0]
    loss = nn.functional.cross_entropy(twin.model(batch.inputs), batch.targets, scales)
    loss.backward()
    step = next(train(run))
    torch.testing.assert_close(step.loss, loss.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(run), gradient(twin), rtol=1e-4, atol=1e-6)


def test_a_long_gradient_is_scaled_to_the_clip_norm_and_a_short_one_is_not():
    run = a_run(replace(sgd(), clip_norm=0.01))
    for step in train(run):
        assert step.gradient_norm > 0.01
        assert abs(gradient(run).norm().item() - 0.01) < 1e-5
    loose, free = a_run(replace(sgd(), clip_norm=1e6)), a_run(sgd())
    for run in (loose, free):
        list(train(run))
    assert torch.equal(weights(loose), weights(free))


def numpy_state() -> tuple[list[int], int]:
    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tolist(), state["pos"]


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = torch.get_rng_state(), numpy_state(), random.getstate()
    run = a_run(sgd(), model=nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(192, 5)))
    torch.manual_seed(5)
    for _ in train(run):
        pass
    evaluate(run.model, DATA.train, DATA.preprocessing, TASK, part="train")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == numpy_state()
    assert before[2] == random.getstate()


def test_what_the_caller_does_between_steps_changes_nothing():
    model = nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(192, 5))
    calm, busy = (
        a_run(sgd(), model=m)
        for m in (model, nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(192, 5)))
    )
    busy.model.load_state_dict(calm.model.state_dict())
    list(train(calm))
    for _ in train(busy):
        torch.rand(7)
        np.random.rand(3)
        busy.model.eval()
    assert torch.equal(weights(calm), weights(busy))


def test_evaluation_is_exact_and_does_not_depend_on_the_batch_size():
    model = a_run(sgd()).model
    found = [
        evaluate(model, DATA.train, DATA.preprocessing, TASK, part="train", batch_size=size)
        for size in (7, 1000)
    ]
    whole = next(in_order(DATA.train, DATA.preprocessing, size=1000, device=CPU))
    output = model(whole.inputs)
    right = (output.argmax(1) == whole.targets).sum().item()
    loss = nn.functional.cross_entropy(output.double(), whole.targets).item()
    for record in found:
        assert record.metrics["accuracy"] == right / len(whole)
        assert record.metrics["loss"] == pytest.approx(loss, rel=1e-6)


def test_evaluation_leaves_mode_and_statistics():
    model = replace(resnet20(), width=4).build(DATA.ends).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, DATA.train, DATA.preprocessing, TASK, part="train")
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_bfloat16_gives_nearly_the_gradient_of_float32():
    exact, fast = a_run(sgd()), a_run(sgd())
    fast.autocast = torch.bfloat16
    a, b = next(train(exact)), next(train(fast))
    assert abs(a.gradient_norm / b.gradient_norm - 1) < 0.02
    assert torch.cosine_similarity(gradient(exact), gradient(fast), dim=0) > 0.999


class Listening(nn.Module):
    """A layer that remembers the random numbers it drew."""

    def __init__(self):
        super().__init__()
        self.linear, self.heard = nn.Linear(192, 5), list[float]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.heard.append(torch.rand(()).item())
        return self.linear(x.flatten(1))


def test_the_noise_of_layers_differs_from_step_to_step_and_repeats_from_run_to_run():
    heard = []
    for _ in range(2):
        layer = Listening()
        list(train(a_run(sgd(), model=layer)))
        heard.append(layer.heard)
    assert heard[0] == heard[1]
    assert len(set(heard[0])) == 4


def test_a_rule_that_has_no_roots_of_what_is_not_finite_has_diverged():
    run = a_run(shampoo())
    taken = train(run)
    next(taken)
    next(run.model.parameters()).data.fill_(torch.inf)
    with pytest.raises(Diverged, match=r"the update cannot be computed \(.*\) at step 2: training"):
        next(taken)
