"""What is planted is what theory says it is: exactly where it is exact, else within its errors."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import shattering, signal
from skipwise.analysis.depth.shattering import plain_likeness
from skipwise.analysis.state import settled
from skipwise.randomness import generator
from skipwise.selftest import CASES, Specimen
from skipwise.selftest.cases import depth, labels, parts, rates
from skipwise.selftest.examples import batches, classes, moved, shuffled
from skipwise.selftest.models import plain, residual, scaled
from skipwise.selftest.practice import practised

BY_NAME = {case.name: case for case in CASES}


def both(name: str, seed: int = 0) -> tuple[Specimen, Specimen]:
    build = BY_NAME[name].build
    return build(seed, faulty=True), build(seed, faulty=False)


def last_stream(specimen: Specimen) -> Tensor:
    """Give what the last block gives for the first batch."""
    inputs, _ = specimen.batches[0]
    model = specimen.model
    assert isinstance(model, nn.Sequential)
    return model[:-1](inputs.to(next(model.parameters()).dtype))


def hidden(model: nn.Module, inputs: Tensor) -> Tensor:
    """Give what the planted block's ReLU gives."""
    seen: list[Tensor] = []
    relu = model.get_submodule(f"blocks.{parts.PLANTED}.branch.1")
    with relu.register_forward_hook(lambda *given: seen.append(given[-1])):
        model(inputs)
    return seen[0]


@pytest.mark.parametrize("name", BY_NAME)
def test_the_twin_has_the_same_examples_and_the_seed_decides_all(name: str):
    before = torch.get_rng_state()
    faulty, healthy = both(name)
    assert torch.equal(torch.get_rng_state(), before), "numbers of the caller's were drawn"
    again = BY_NAME[name].build(0, faulty=True)
    for one, two in zip(faulty.batches, healthy.batches, strict=True):
        assert torch.equal(one[0].float(), two[0].to(one[0].dtype).float())
    for one, two in zip(faulty.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one.nan_to_num(), two.nan_to_num())


@pytest.mark.parametrize("name", ["vanish", "unscaled", "shattered"])
def test_twins_of_depth_have_the_same_weights(name: str):
    faulty, healthy = both(name)
    for one, two in zip(faulty.model.parameters(), healthy.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_steep_network_has_the_twins_second_moment_times_2_25_to_the_depth():
    faulty, healthy = both("explode", seed=3)
    streams = [
        last_stream(
            Specimen(model=s.model.double(), batches=[(s.batches[0][0].double(), s.batches[0][1])])
        )
        for s in (faulty, healthy)
    ]
    # Weights times 1.5 were rounded to float32, so the twin's are multiplied anew.
    exact = plain(3, depth.LAYERS).double()
    with torch.no_grad():
        for number in range(depth.LAYERS):
            exact.get_parameter(f"blocks.{number}.branch.0.weight").mul_(depth.STEEP)
    steep = last_stream(Specimen(model=exact, batches=healthy.batches))
    moments = [stream.square().mean().item() for stream in (*streams, steep)]
    assert moments[2] / moments[1] == pytest.approx(2.25**depth.LAYERS, rel=1e-12)
    assert moments[0] / moments[1] == pytest.approx(2.25**depth.LAYERS, rel=1e-5)


def test_the_gradient_of_the_sigmoids_stays_below_its_bound():
    faulty, _ = both("vanish")
    found = signal(faulty.model, faulty.batches[0])["gradient norm"]
    weights = [
        faulty.model.get_parameter(f"blocks.{n}.branch.0.weight") for n in range(depth.LAYERS)
    ]
    lengths = math.prod(torch.linalg.matrix_norm(w, ord=2).item() for w in weights)
    assert found[0] <= 0.25**depth.LAYERS * lengths * found[-1]
    assert found[0] < 1e-3 * found[-1]


def test_unscaled_branches_double_the_second_moment_in_the_mean():
    grown = []
    for seed in range(24):
        specimen = depth.unscaled(seed, faulty=True)
        moments = signal(specimen.model, specimen.batches[0])["second moment"]
        grown.append([b / a for a, b in pairwise(moments)])
    factors = np.array(grown)  # (seeds, blocks): each has mean 2, given the stream before it
    error = factors.std(ddof=1) / math.sqrt(factors.size)
    assert abs(factors.mean() - 2) < 5 * error
    whole = factors.prod(1)
    spread = whole.std(ddof=1) / math.sqrt(len(whole))
    assert abs(whole.mean() - 2.0**depth.UNSCALED) < 5 * spread


def test_the_scaled_twin_grows_by_less_than_e_in_the_mean():
    whole = []
    for seed in range(24):
        healthy = depth.unscaled(seed, faulty=False)
        moments = signal(healthy.model, healthy.batches[0])["second moment"]
        whole.append(moments[-1] / moments[0])
    spread = np.std(whole, ddof=1) / math.sqrt(len(whole))
    assert abs(np.mean(whole) - (1 + 1 / depth.UNSCALED) ** depth.UNSCALED) < 5 * spread
    assert np.mean(whole) < math.e


def test_a_short_start_loses_the_second_moment_and_keeps_the_gradient():
    faulty, healthy = both("start")
    found, usual = (signal(each.model, each.batches[0]) for each in (faulty, healthy))
    ratio = found["second moment"][-1] / usual["second moment"][-1]
    assert ratio == pytest.approx(depth.SHORT ** (2 * depth.TEN), rel=1e-4)
    assert found["gradient norm"][0] / found["gradient norm"][-1] > 1e-3


def test_states_behind_a_weight_of_rank_one_lie_on_two_rays():
    faulty, healthy = both("collapse")
    inputs = torch.cat([inputs for inputs, _ in faulty.batches])
    for specimen, most in ((faulty, 2), (healthy, 128)):
        model = specimen.model
        assert isinstance(model, nn.Sequential)
        blocks = model.get_submodule("blocks")
        assert isinstance(blocks, nn.Sequential)
        state = blocks[: depth.SHALLOW + 1](model.get_submodule("stem")(inputs))
        rank = int(torch.linalg.matrix_rank(state, rtol=1e-4))
        assert rank <= most
        assert (rank > 2) is (most > 2)


def test_fast_sines_leave_nothing_of_what_relus_leave():
    u, v = torch.randn(2, 200_000, dtype=torch.float64, generator=generator(0, "sines"))
    for cosine, omega in ((0.5, 1.0), (0.9, 2.0)):
        other = cosine * u + math.sqrt(1 - cosine**2) * v
        slopes = torch.cos(omega * u), torch.cos(omega * other)
        left = (slopes[0] * slopes[1]).mean() / slopes[0].square().mean()
        expected = math.exp(-(omega**2) * (1 - cosine)) + math.exp(-(omega**2) * (1 + cosine))
        assert left.item() == pytest.approx(expected / (1 + math.exp(-2 * omega**2)), abs=0.02)
    faulty, healthy = both("shattered")
    assert abs(shattering(faulty.model, faulty.batches[0])["gradient cosine"][0]) < 0.02
    found = shattering(healthy.model, healthy.batches[0])
    assert found["gradient cosine"][0] > 0.5 * plain_likeness(depth.SHALLOW)


def test_every_unit_of_the_dead_layer_is_off_and_no_other_layer_is_dead():
    for specimen, share in zip(both("dead"), (0.0, 0.5), strict=True):
        active = torch.cat([hidden(specimen.model, inputs) for inputs, _ in specimen.batches]) > 0
        assert active.double().mean().item() == pytest.approx(share, abs=0.1)
        assert bool(active.any()) == bool(share)


def test_the_ignored_branch_writes_nothing_and_its_twin_something():
    for specimen, silent in zip(both("ignored"), (True, False), strict=True):
        last = specimen.model.get_parameter(f"blocks.{parts.PLANTED}.branch.2.weight")
        assert bool((last == 0).all()) is silent


def test_stale_statistics_have_hardly_moved():
    faulty, healthy = both("stale")
    assert settled(parts.STALE, parts.FEW) == pytest.approx(0.00399, abs=1e-5)
    moved = []
    for specimen in (faulty, healthy):
        norm = specimen.model.get_submodule("blocks.0.branch.1")
        assert int(norm.get_buffer("num_batches_tracked")) == parts.FEW
        moved.append((norm.get_buffer("running_var") - 1).mean().item())
    usual = settled(0.1, parts.FEW)
    assert moved[0] / moved[1] == pytest.approx(settled(parts.STALE, parts.FEW) / usual, rel=0.1)


@pytest.mark.parametrize(("faulty", "factor"), [(True, -1.1), (False, -0.9)])
def test_a_step_on_the_parabola_multiplies_the_distance(faulty: bool, factor: float):
    specimen = rates.unstable(0, faulty=faulty)
    inputs, targets = specimen.batches[0]
    model, start = specimen.model, specimen.start
    assert isinstance(model, nn.Sequential)
    assert start is not None
    best = torch.linalg.lstsq(model[:-1](inputs).double(), targets.double()).solution.mT
    before = start["head.weight"] - best
    after = model.get_parameter("head.weight") - best
    assert (after / before).median().item() == pytest.approx(factor**rates.STEPS, rel=1e-2)
    assert (after.norm() / before.norm()).item() == pytest.approx(factor**rates.STEPS, rel=1e-2)


def test_updates_below_half_a_digit_are_lost():
    faulty, healthy = both("lost")
    for specimen, most in ((faulty, True), (healthy, False)):
        assert specimen.start is not None
        name = "blocks.1.branch.0.weight"
        now, before = specimen.model.get_parameter(name), specimen.start[name]
        stayed = (now == before).double().mean().item()
        assert (stayed > 0.8) is most
        assert (stayed < 0.01) is not most


@pytest.mark.parametrize("rate", [rates.LOW, rates.RIGHT, rates.HIGH])
def test_the_first_update_of_adam_is_its_rate(rate: float):
    model, twin = (residual(0, rates.BLOCKS, scaled(rates.BLOCKS)).double() for _ in range(2))
    pairs = moved(batches(0), torch.float64)
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    practised(model, 0, optimiser=adam, steps=1, pairs=pairs)
    nn.functional.cross_entropy(twin(pairs[0][0]), pairs[0][1]).backward()
    for after, before in zip(model.parameters(), twin.parameters(), strict=True):
        assert before.grad is not None
        length = before.grad.abs()
        wanted = rate * length / (length + 1e-8)
        torch.testing.assert_close((after - before).abs(), wanted, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("rate", [rates.LOW, rates.RIGHT])
def test_adam_moves_no_weight_by_more_than_its_rate_in_a_step(rate: float):
    faulty = rate != rates.RIGHT
    specimen = (rates.low if faulty else rates.high)(0, faulty=faulty)
    assert specimen.start is not None
    name = "blocks.1.branch.0.weight"
    size = specimen.start[name].square().mean().sqrt().item()
    assert size == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    turn = (specimen.model.get_parameter(name) - specimen.start[name]).abs().max().item()
    rounding = rates.STEPS * 2.0**-25  # of weights below 1, half a digit a step
    assert turn <= 1.01 * rates.STEPS * rate + rounding
    assert rates.LOW / size < 1e-6 < 1e-3 < rates.RIGHT / size < 1e-2 < rates.HIGH / size


def test_shuffled_labels_are_learned_by_heart_and_tell_nothing():
    for specimen, low, high in zip(both("shuffled"), (0.0, 0.9), (0.25, 1.0), strict=True):
        assert specimen.history is not None
        assert specimen.history.training[-1].accuracy > 0.99
        assert low <= specimen.history.validation[-1].accuracy <= high
    _, truth = classes(0, examples=labels.EXAMPLES, apart=labels.APART)
    given = shuffled(0, truth)
    pairs = torch.bincount(8 * truth + given, minlength=64)
    assert pairs.tolist() == [labels.EXAMPLES // 64] * 64


def test_the_weight_that_is_no_number_reaches_every_output():
    faulty, healthy = both("not-finite")
    inputs, _ = faulty.batches[0]
    assert bool(faulty.model(inputs).isnan().all())
    assert bool(healthy.model(inputs).isfinite().all())
