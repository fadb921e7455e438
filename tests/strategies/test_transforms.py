"""Gradient transforms against slow formulas in float64, and against other libraries."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.description import from_plain, replace_at, to_plain
from skipwise.networks import resnet20
from skipwise.strategies import (
    AdaptiveClipping,
    AutoClip,
    Centralisation,
    Chain,
    ClipNorm,
    GradientNoise,
    GradientTransform,
    Learning,
    Strategy,
    ZClip,
    nesterov,
)
from skipwise.strategies.transforms.transform import total_norm
from tests.references import SMALL, close

SHAPES = {"stem": (4, 3, 3, 3), "branch": (5, 4), "norm": (4,), "scale": (), "head": (3, 5)}


def learning(seed: int = 0, length: float = 1.0) -> list[Learning]:
    """Parameters of all kinds with random gradients in float64; the head has a bias too."""
    noise = torch.Generator().manual_seed(seed)
    entries = []
    for name, shape in [*SHAPES.items(), ("bias", (3,))]:
        parameter = nn.Parameter(torch.randn(shape, generator=noise, dtype=torch.float64))
        parameter.grad = length * torch.randn(shape, generator=noise, dtype=torch.float64)
        of_head = name in ("head", "bias")
        entries.append(Learning(name=name, parameter=parameter, role=name, of_head=of_head))
    return entries


def gradients(entries: Sequence[Learning]) -> dict[str, Tensor]:
    found = {e.name: e.parameter.grad for e in entries}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def norm_of(entries: Sequence[Learning]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients(entries).values()]).norm()


def applied(transform: GradientTransform, entries: Sequence[Learning], step: int = 0) -> Tensor:
    """Apply it, check the norm it tells, and give that."""
    found = transform.apply(entries, norm_of(entries), transform.begin(), step).norm
    close(found, norm_of(entries))
    return found


def test_centralisation_takes_each_units_mean_off_and_no_others():
    entries = learning()
    before = gradients(entries)
    applied(Centralisation(), entries)
    after = gradients(entries)
    for name in ("stem", "branch", "head"):
        for unit, wanted in zip(after[name], before[name], strict=True):
            close(unit, wanted - sum(wanted.flatten().tolist()) / wanted.numel())
    assert all(torch.equal(after[name], before[name]) for name in ("norm", "scale", "bias"))


def test_centralisation_is_pytorch_optimizers_and_spares_units_that_read_one_number():
    from pytorch_optimizer.optimizer.gradient_centralization import centralize_gradient

    entries = learning()
    wanted = gradients(entries)["stem"]
    centralize_gradient(wanted)
    applied(Centralisation(), entries)
    close(gradients(entries)["stem"], wanted)
    narrow = nn.Parameter(torch.zeros(4, 1))
    narrow.grad = torch.ones(4, 1)
    entry = Learning(name="narrow", parameter=narrow, role="branch")
    Centralisation().apply([entry], torch.tensor(2.0), {}, 0)
    assert torch.equal(narrow.grad, torch.ones(4, 1))


def slowly_clipped(weight: Tensor, gradient: Tensor, ratio: float, least: float) -> Tensor:
    """Clip unit by unit and number by number; one axis or none is one unit."""
    units = range(len(weight)) if weight.dim() > 1 else [...]
    found = gradient.clone()
    for unit in units:
        size = math.sqrt(sum(w**2 for w in weight[unit].flatten().tolist()))
        length = math.sqrt(sum(g**2 for g in gradient[unit].flatten().tolist()))
        limit = ratio * max(size, least)
        if length > limit:
            found[unit] = gradient[unit] * limit / length
    return found


@pytest.mark.parametrize("ratio", [0.01, 1.0, 30.0])
def test_adaptive_clipping_equals_a_loop_over_units(ratio: float):
    entries, rule = learning(), AdaptiveClipping(ratio=ratio, least=0.3)
    before = gradients(entries)
    applied(rule, entries)
    for entry in entries:
        wanted = slowly_clipped(entry.parameter.detach(), before[entry.name], ratio, 0.3)
        wanted = before[entry.name] if entry.of_head else wanted
        close(gradients(entries)[entry.name], wanted)


def test_adaptive_clipping_equals_two_other_libraries():
    from pytorch_optimizer.optimizer.agc import agc
    from timm.utils.agc import adaptive_clip_grad

    for entry in learning():
        parameter, gradient = entry.parameter, entry.parameter.grad
        assert gradient is not None
        wanted = agc(parameter.detach(), gradient.clone())
        mine = replace(entry, parameter=nn.Parameter(parameter.detach().clone()), of_head=False)
        mine.parameter.grad = gradient.clone()
        applied(AdaptiveClipping(), [mine])
        adaptive_clip_grad([parameter])
        assert mine.parameter.grad is not None
        close(mine.parameter.grad, gradient)
        if parameter.dim() > 1:
            close(mine.parameter.grad, wanted)


def test_what_is_short_beside_its_weights_stays_bit_for_bit():
    entries = learning(length=1e-6)
    before = gradients(entries)
    for rule in (AdaptiveClipping(), ClipNorm()):
        applied(rule, entries)
    assert all(torch.equal(g, before[name]) for name, g in gradients(entries).items())


@pytest.mark.parametrize("name", ["", *SHAPES])
def test_a_step_is_clipped_where_any_unit_of_any_parameter_was_shortened(name: str):
    entries = learning(length=1e-6)
    for entry in entries:
        assert entry.parameter.grad is not None
        entry.parameter.grad.mul_(1e9 if entry.name == name else 1)
    found = AdaptiveClipping().apply(entries, norm_of(entries), {}, 0).clipped
    assert found is not None
    assert bool(found) == (name not in ("", "head"))


def test_a_unit_without_gradient_stays_at_zero():
    entries = learning(length=0.0)
    applied(AdaptiveClipping(), entries)
    assert not any(g.any() for g in gradients(entries).values())


def test_clip_norm_is_torchs():
    entries, theirs = learning(), learning()
    applied(ClipNorm(limit=0.5), entries)
    torch.nn.utils.clip_grad_norm_([e.parameter for e in theirs], 0.5)
    wanted = gradients(theirs)
    assert all(torch.equal(g, wanted[name]) for name, g in gradients(entries).items())


def spiky(count: int = 90) -> np.ndarray:
    noise = np.random.default_rng(1)
    norms = np.exp(0.2 * noise.normal(size=count))
    norms[40:90:10] *= 8.0
    return norms


def slow_zclip(norms: Sequence[float], alpha: float, zeta: float, settling: int) -> list[float]:
    """Give the norms after clipping, one after the other."""
    mean = variance = 0.0
    found, first = [], []
    for n in norms:
        if len(first) < settling:
            first.append(n)
            mean = sum(first) / len(first)
            variance = sum((x - mean) ** 2 for x in first) / len(first)
            found.append(n)
            continue
        z = (n - mean) / (math.sqrt(variance) + 1e-6)
        clipped = mean + zeta * math.sqrt(variance) / (z / zeta) if z > zeta else n
        mean = alpha * mean + (1 - alpha) * clipped
        variance = alpha * variance + (1 - alpha) * (clipped - mean) ** 2
        found.append(clipped)
    return found


def one_number(value: float) -> Learning:
    parameter = nn.Parameter(torch.zeros((), dtype=torch.float64))
    parameter.grad = torch.tensor(value, dtype=torch.float64)
    return Learning(name="w", parameter=parameter, role="scale")


def run_over(rule: GradientTransform, norms: Sequence[float]) -> tuple[list[float], list[bool]]:
    state, found, clipped = rule.begin(), [], []
    for step, n in enumerate(norms):
        entry = one_number(n)
        result = rule.apply([entry], torch.tensor(n, dtype=torch.float64), state, step)
        state = result.state
        assert entry.parameter.grad is not None
        assert result.clipped is not None
        found.append(entry.parameter.grad.item())
        clipped.append(bool(result.clipped))
    return found, clipped


@pytest.mark.parametrize("settling", [1, 25])
def test_zclip_equals_a_loop_over_numbers(settling: int):
    norms = spiky().tolist()
    wanted = slow_zclip(norms, 0.9, 2.0, settling)
    found, clipped = run_over(ZClip(memory=0.9, threshold=2.0, settling=settling), norms)
    assert sum(clipped) >= 5
    # The factor of torch has 1e-6 beside the norm.
    assert found == pytest.approx([n * min(1, w / (n + 1e-6)) if c else n
                                   for n, w, c in zip(norms, wanted, clipped, strict=True)],
                                  rel=1e-10)  # fmt: skip


def test_autoclip_equals_numpys_percentile_of_what_it_remembers():
    norms = spiky().tolist()
    found, clipped = run_over(AutoClip(percentile=30, remembered=20), norms)
    for step, n in enumerate(norms):
        limit = float(np.percentile(norms[max(step - 19, 0) : step + 1], 30))
        assert found[step] == pytest.approx(n * min(1, limit / (n + 1e-6)), rel=1e-10)
        assert clipped[step] == (n > limit)


def test_noise_has_the_variance_of_the_paper_and_fades():
    for step, variance in ((0, 0.3), (99, 0.3 / 100**0.55)):
        parameter = nn.Parameter(torch.zeros(200_000, dtype=torch.float64))
        parameter.grad = torch.full_like(parameter, 2.0)
        torch.manual_seed(0)
        applied(
            GradientNoise(variance=0.3),
            [Learning(name="w", parameter=parameter, role="scale")],
            step,
        )
        assert parameter.grad.mean().item() == pytest.approx(2, abs=5 * (variance / 2e5) ** 0.5)
        close_to = 5 * variance * (2 / 2e5) ** 0.5
        assert parameter.grad.var().item() == pytest.approx(variance, abs=close_to)


def test_the_states_of_the_last_call_of_a_step_are_kept_and_of_a_skipped_step_none():
    """Twice in a step, as SAM asks: both calls begin from the state of the step before."""
    twice, once = Chain([ZClip(settling=1)]), Chain([ZClip(settling=1)])
    for step, n in enumerate([1.0, 2.0, 9.0]):
        for asked in (n / 3, n):
            twice.apply([one_number(asked)], torch.tensor(asked, dtype=torch.float64), step)
        once.apply([one_number(n)], torch.tensor(n, dtype=torch.float64), step)
        for chain in (twice, once):
            chain.keep()
    assert twice.state() == once.state()
    once.apply([one_number(1e9)], torch.tensor(1e9, dtype=torch.float64), 3)  # is not kept
    assert once.state() == twice.state()


def test_how_often_the_clip_acted_is_said_and_what_it_means():
    chain = Chain([ClipNorm(limit=1.0)])
    for n in (2.0, 0.5, 3.0, 4.0):
        chain.apply([one_number(n)], torch.tensor(n), 0)
        chain.keep()
    (said,) = chain.notes()
    assert said.startswith("the clip acted in 75 % of the steps: it is a hidden learning rate")
    again = Chain([ClipNorm(limit=1.0)])
    again.restore(chain.state())
    assert again.notes() == (said,)
    assert Chain([Centralisation()]).notes() == ()


def test_a_history_outlives_a_transform_that_joins_it():
    chain = Chain([ZClip()])
    for n in (2.0, 0.5, 3.0):
        chain.apply([one_number(n)], torch.tensor(n), 0)
        chain.keep()
    joined = Chain([ZClip(), ClipNorm(limit=1.0)])
    joined.restore(chain.state())
    assert joined.state()["states"][0] == chain.state()["states"][0]
    assert joined.state()["states"][0]["count"] == 3


def test_what_shortens_single_units_acts_but_is_no_clip_of_the_whole():
    for ratio, wanted in ((1e-9, True), (1e9, False)):
        chain, entries = Chain([AdaptiveClipping(ratio=ratio), ClipNorm(limit=1e9)]), learning()
        chain.apply(entries, total_norm(entries), 0)
        chain.keep()
        assert chain.acted is not None
        assert bool(chain.acted) is wanted
        assert chain.notes() == ("the clip acted in 0 % of the steps",)
    chain = Chain([Centralisation()])
    chain.apply(entries, total_norm(entries), 0)
    assert chain.acted is None


def test_the_order_is_the_one_that_makes_sense():
    strategy = replace(nesterov(), gradient=(Centralisation(), GradientNoise()), clip_norm=2.0)
    assert [type(t) for t in strategy.transforms] == [Centralisation, ClipNorm, GradientNoise]
    for order, told in (
        ((ZClip(), AdaptiveClipping()), "ZClip must come after AdaptiveClipping; the order is"),
        ((GradientNoise(), ZClip()), "GradientNoise must come after ZClip"),
        ((ZClip(), AutoClip()), "ZClip and AutoClip exclude each other"),
        ((ClipNorm(), ClipNorm()), "ClipNorm stands twice"),
    ):
        with pytest.raises(ValueError, match=told):
            replace(nesterov(), gradient=order)
    with pytest.raises(ValueError, match="ClipNorm stands twice"):
        replace(nesterov(), gradient=(ClipNorm(),), clip_norm=1.0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: AdaptiveClipping(ratio=0.0), "ratio of AdaptiveClipping must be positive"),
        (lambda: ClipNorm(limit=-1.0), "limit of ClipNorm must be positive, got -1.0"),
        (lambda: AutoClip(percentile=0.0), r"percentile must lie in \(0, 100\]"),
        (lambda: AutoClip(remembered=0), "remembered must be positive"),
        (lambda: ZClip(memory=1.0), r"memory of ZClip must lie in \(0, 1\)"),
        (lambda: ZClip(threshold=0.0), "threshold of ZClip must be positive"),
        (lambda: ZClip(settling=0), "settling of ZClip must be positive"),
        (lambda: GradientNoise(variance=0.0), "variance of GradientNoise must be positive"),
        (lambda: GradientNoise(fading=-1.0), "fading of GradientNoise must not be negative"),
        (lambda: AdaptiveClipping(least=math.inf), "least of .* positive and finite, got inf"),
        (lambda: ZClip(threshold=math.inf), "ZClip must be positive and finite, got inf"),
        (lambda: GradientNoise(variance=math.inf), "positive and finite, got inf; leave it out"),
        (lambda: GradientNoise(fading=math.inf), "must not be negative or infinite, got inf"),
    ],
)
def test_settings_without_a_meaning_are_refused(make, told: str):
    with pytest.raises(ValueError, match=told):
        make()


def test_words_of_the_command_line_become_parts_of_a_strategy():
    strategy = replace_at(nesterov(), "gradient", "Centralisation,ZClip")
    strategy = replace_at(strategy, "gradient.zclip.threshold", 3.0)
    strategy = replace_at(replace_at(strategy, "rates.norm", 0.1), "decay_factors.norm", 1.0)
    assert strategy.gradient == (Centralisation(), ZClip(threshold=3.0))
    assert (strategy.rates, strategy.decay_factors) == ({"norm": 0.1}, {"norm": 1.0})
    strategy = replace_at(replace_at(strategy, "guard", "Guard"), "guard.patience", 3)
    strategy = replace_at(replace_at(strategy, "freezing", "Freezing"), "averaging", "swa")
    assert from_plain(to_plain(strategy)) == strategy
    assert replace_at(strategy, "gradient", []).gradient == ()
    with pytest.raises(ValueError, match="has no 'ZClap'; did you mean 'ZClip'"):
        replace_at(strategy, "gradient", ["ZClap"])
    with pytest.raises(ValueError, match="rates has no role 'nrom'; did you mean 'norm'"):
        replace_at(strategy, "rates.nrom", 0.1)


def factors_by_role(strategy: Strategy) -> dict[str, tuple[float, float]]:
    groups = strategy.build(resnet20().build(SMALL)).param_groups
    return {group["role"]: (group["factor"], group["weight_decay"]) for group in groups}


def test_rate_and_decay_follow_the_role():
    plain = replace(nesterov(), weight_decay=0.5)
    varied = replace(plain, rates={"norm": 0.1, "head": 2.0}, decay_factors={"norm": 1, "stem": 0})
    before, after = factors_by_role(plain), factors_by_role(varied)
    assert before["norm"] == (1.0, 0.0)
    changed = {"norm": (0.1, 0.5), "head": (2.0, 0.5), "stem": (1.0, 0.0)}
    assert after == {**before, **changed}


def test_factors_that_can_have_no_effect_are_refused():
    with pytest.raises(ValueError, match=r"rates\.norm is a factor and must not be negative"):
        replace(nesterov(), rates={"norm": -1.0})
    with pytest.raises(ValueError, match="rates must be positive; to keep a part"):
        replace(nesterov(), rates={"norm": 0.0})
    with pytest.raises(ValueError, match="no effect without weight_decay"):
        replace(nesterov(), weight_decay=0.0, decay_factors={"norm": 1.0})
    with pytest.raises(ValueError, match="the network has no parameter of the role 'scale'"):
        factors_by_role(replace(nesterov(), rates={"scale": 0.1}))
