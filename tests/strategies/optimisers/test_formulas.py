"""One update and twenty, of every rule, against its formula in numpy."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise import strategies
from skipwise.strategies import (
    ADOPT,
    LAMB,
    LARS,
    MARS,
    SGD,
    SGDW,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Adan,
    CautiousAdamW,
    Lion,
    Muon,
    NAdam,
    NAdamW,
    Optimiser,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
)
from tests.references import close
from tests.strategies.optimisers import formulas

CASES: tuple[tuple[Optimiser, formulas.Formula], ...] = (
    (SGD(), formulas.sgd),
    (SGD(momentum=0.8), formulas.sgd),
    (SGD(momentum=0.8, nesterov=True), formulas.sgd),
    (SGDW(momentum=0.8), formulas.sgdw),
    (SGDW(momentum=0.8, nesterov=True), formulas.sgdw),
    (Adam(beta1=0.8, beta2=0.95, epsilon=1e-3), formulas.adam),
    (AdamW(beta1=0.8, beta2=0.95, epsilon=1e-3), formulas.adamw),
    (NAdamW(beta1=0.8, beta2=0.95, epsilon=1e-3), formulas.nadamw),
    (NAdam(beta1=0.8, beta2=0.95, epsilon=1e-3, momentum_decay=0.1), formulas.nadam),
    (NAdam(decoupled=True), formulas.nadam),
    (RAdam(beta1=0.8, beta2=0.9, epsilon=1e-3), formulas.radam),
    (RAdam(beta2=0.9, decoupled=True), formulas.radam),
    (RMSprop(memory=0.8, epsilon=1e-3, momentum=0.5), formulas.rmsprop),
    (RMSprop(centred=True, epsilon=1e-2), formulas.rmsprop),
    (Adagrad(rate_decay=0.1, start=0.2, epsilon=1e-3), formulas.adagrad),
    (Adafactor(decay_power=-0.7, least=1e-6, least_scale=0.3, clip=1.1), formulas.adafactor),
    (LARS(momentum=0.8, trust=0.02), formulas.lars),
    (LARS(momentum=0.8, nesterov=True), formulas.lars),
    (LAMB(beta1=0.8, beta2=0.95, epsilon=1e-3), formulas.lamb),
    (Lion(beta1=0.8, beta2=0.95), formulas.lion),
    (Adan(beta1=0.9, beta2=0.8, beta3=0.95, epsilon=1e-3), formulas.adan),
    (CautiousAdamW(beta1=0.8, beta2=0.95, epsilon=1e-3), formulas.cautious_adamw),
    (CautiousAdamW(least=0.7), formulas.cautious_adamw),
    (ADOPT(beta1=0.8, beta2=0.95, epsilon=0.5), formulas.adopt),
    (ADOPT(growth=0.5), formulas.adopt),
    (MARS(beta1=0.8, beta2=0.95, epsilon=1e-3, correction=0.3), formulas.mars),
    (MARS(vector_beta1=0.7, vector_beta2=0.8, share=0.3), formulas.mars),
    (Shampoo(epsilon=0.1, every=4), formulas.shampoo),
    (Shampoo(epsilon=0.1, every=1), formulas.shampoo),
    (ScheduleFreeSGD(beta=0.8), formulas.schedule_free_sgd),
    (ScheduleFreeAdamW(beta1=0.8, beta2=0.95, epsilon=1e-3), formulas.schedule_free_adamw),
    (Muon(momentum=0.8), formulas.muon),
    (Muon(momentum=0.8, nesterov=False), formulas.muon),
)
SHAPES = {"filters": (4, 2, 3, 3), "tall": (5, 3), "vector": (6,)}
DECAY = {"filters": 0.03, "tall": 0.03, "vector": 0.0}


def problem(steps: int) -> tuple[dict[str, Tensor], list[dict[str, Tensor]], list[float]]:
    """Give weights, the gradients of every step, and rates that differ, in float64."""
    noise = torch.Generator().manual_seed(3)

    def drawn() -> dict[str, Tensor]:
        return {
            name: torch.randn(shape, generator=noise, dtype=torch.float64)
            for name, shape in SHAPES.items()
        }

    return drawn(), [drawn() for _ in range(steps)], [0.02 + 0.01 * (t % 5) for t in range(steps)]


def trained(
    rule: Optimiser,
    start: dict[str, Tensor],
    gradients: Sequence[dict[str, Tensor]],
    rates: Sequence[float],
) -> tuple[dict[str, nn.Parameter], torch.optim.Optimizer]:
    """Take the steps with the rule's own optimiser, as the loop does."""
    parameters = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    groups = [
        {"params": [p], "role": "branch" if p.dim() > 1 else "norm", "weight_decay": DECAY[name],
         "factor": 1.0}
        for name, p in parameters.items()
    ]  # fmt: skip
    optimiser = rule.build(groups, rate=rates[0])
    for step, rate in zip(gradients, rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        for name, parameter in parameters.items():
            parameter.grad = step[name].clone()
        optimiser.step()
        for name, parameter in parameters.items():
            assert parameter.grad is not None
            assert torch.equal(parameter.grad, step[name]), "the gradient was changed"
    return parameters, optimiser


@pytest.mark.parametrize("size", [1.0, 0.0])
@pytest.mark.parametrize("steps", [1, 20])
@pytest.mark.parametrize(("rule", "formula"), CASES, ids=[repr(rule)[:60] for rule, _ in CASES])
def test_updates_equal_the_formula(
    rule: Optimiser, formula: formulas.Formula, steps: int, size: float
):
    drawn, gradients, rates = problem(steps)
    start = {name: size * value for name, value in drawn.items()}
    found, _ = trained(rule, start, gradients, rates)
    for name, parameter in found.items():
        own, used, eta = formula, rule, rates
        if isinstance(rule, Muon) and name == "vector":
            own, used, eta = formulas.adamw, rule.others, [rate * rule.share for rate in rates]
        numbers = [step[name].numpy() for step in gradients]
        wanted = own(start[name].numpy(), numbers, eta, DECAY[name], used)
        close(parameter.detach(), torch.from_numpy(np.asarray(wanted)))


@pytest.mark.parametrize("rule", [rule for rule, _ in CASES], ids=lambda rule: repr(rule)[:60])
def test_zero_rate_changes_nothing(rule: Optimiser):
    start, gradients, _ = problem(3)
    found, _ = trained(rule, start, gradients, [0.0] * 3)
    assert all(torch.equal(found[name], value) for name, value in start.items())


@pytest.mark.parametrize(
    ("rule", "name", "options"),
    [
        (NAdamW(beta1=0.973, beta2=0.998), "NAdamW", {"betas": (0.973, 0.998)}),
        (SGDW(momentum=0.9, nesterov=True), "SGDW", {"momentum": 0.9, "nesterov": True}),
        (CautiousAdamW(), "AdamWLegacy", {"caution": True}),
        (
            LAMB(epsilon=1e-15),  # beside the norm it is nothing
            "Lamb",
            {"eps": 1e-15, "bias_correction": False, "max_grad_norm": None},
        ),
    ],
)
def test_ours_is_timms(rule: Optimiser, name: str, options: dict):
    from timm import optim

    drawn, gradients, rates = problem(20)
    start = {n: 3 * value for n, value in drawn.items()}  # a norm above 10 is among them
    mine, _ = trained(rule, start, gradients, rates)
    theirs = {n: nn.Parameter(value.clone()) for n, value in start.items()}
    groups = [{"params": [p], "weight_decay": DECAY[n]} for n, p in theirs.items()]
    optimiser = vars(optim)[name](groups, lr=1.0, **options)
    for step, rate in zip(gradients, rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        for n, parameter in theirs.items():
            parameter.grad = step[n].clone()
        optimiser.step()
    for n, parameter in theirs.items():
        close(mine[n].detach(), parameter.detach())


def test_caution_leaves_what_has_no_gradient_now_though_it_had_one():
    weight = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimiser = CautiousAdamW().build([{"params": [weight], "weight_decay": 0.0}], rate=0.1)
    for gradient in ([1.0, 1.0], [0.0, 1.0]):
        before = weight.detach().clone()
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
    moved = (weight.detach() - before).tolist()
    assert moved == pytest.approx([0.0, -0.2], rel=1e-6)  # one of two moves twice as far


def test_torchs_nadam_is_another_rule():
    start, gradients, rates = problem(3)
    ours, _ = trained(NAdamW(), start, gradients, rates)
    theirs, _ = trained(NAdam(decoupled=True), start, gradients, rates)
    assert not torch.allclose(ours["tall"], theirs["tall"], atol=1e-3)


@pytest.mark.parametrize(("device", "fused"), [("cpu", True), ("meta", None)])
def test_adagrad_is_fused_on_the_processor_alone_and_elsewhere_as_torch_does(device: str, fused):
    groups = [{"params": [nn.Parameter(torch.zeros(2, device=device))]}]
    assert Adagrad().build(groups, rate=0.1).param_groups[0]["fused"] is fused


@pytest.mark.parametrize(("name", "beta"), [("ScheduleFreeSGD", 0.8), ("ScheduleFreeAdamW", 0.9)])
def test_schedule_free_evaluates_the_papers_average(name: str, beta: float):
    rule = vars(strategies)[name](**({"beta": beta} if name.endswith("SGD") else {"beta1": beta}))
    start, gradients, rates = problem(20)
    found, optimiser = trained(rule, start, gradients, rates)
    before = {n: p.detach().clone() for n, p in found.items()}
    averages = rule.evaluated(optimiser)
    for n, parameter in found.items():
        numbers = [step[n].numpy() for step in gradients]
        wanted, _ = formulas.schedule_free(
            start[n].numpy(), numbers, rates, DECAY[n], rule,
            beta=beta, normalise=name.endswith("AdamW"),
        )  # fmt: skip
        close(averages[parameter], torch.from_numpy(wanted))
        assert torch.equal(parameter, before[n])
        assert not torch.allclose(averages[parameter], parameter)
