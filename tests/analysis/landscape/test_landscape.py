"""Lines, planes, barriers and paths where they are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import barrier, line, plane, principal_path, trajectory, weights_of
from skipwise.analysis.curvature import objective
from skipwise.analysis.landscape import filter_normalised, random_direction, walk_shares
from skipwise.analysis.landscape.statistics import recompute_statistics
from tests.analysis.curvature.problems import (
    drawn,
    half_squares,
    linear,
    norms,
    small_batch,
    small_network,
)


def rescaled(factor: float) -> nn.Module:
    """A ReLU network whose first layer is larger and whose second is smaller by one factor."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(factor)
        model.get_parameter("0.bias").mul_(factor)
        model.get_parameter("2.weight").div_(factor)
    return model


BATCH = drawn(12, 5), torch.arange(12) % 3


def test_the_surface_along_filters_is_the_same_for_networks_that_compute_the_same():
    one, other = (plane(rescaled(f), BATCH, points=5, eigenvalues=False) for f in (1.0, 7.0))
    for name in one.columns:
        assert other[name] == pytest.approx(one[name], rel=1e-10)


def test_along_raw_directions_it_is_not():
    lines = []
    for factor in (1.0, 7.0):
        model = rescaled(factor)
        raw = random_direction(model, 0, "raw")
        lines.append(line(model, BATCH, direction=raw, points=5, eigenvalues=False)["loss"])
    assert lines[0][2] == pytest.approx(lines[1][2], rel=1e-10)
    assert abs(lines[0][0] - lines[1][0]) > 0.1


def test_a_filter_of_a_direction_is_as_long_as_the_one_it_moves():
    model = small_network()
    weights = weights_of(model)
    scaled = filter_normalised(random_direction(model, 1), weights)
    for name, tensor in scaled.items():
        if tensor.dim() == 1:
            assert not tensor.any()
        else:
            lengths = [each.flatten(1).norm(dim=1) for each in (tensor, weights[name])]
            torch.testing.assert_close(*lengths)


def test_on_a_parabola_line_and_curvature_are_exact():
    inputs, model = drawn(20, 4), linear(4)
    direction = {"weight": drawn(1, 4, seed=2)}
    found = line(
        model, (inputs, inputs.sum(1, keepdim=True)), half_squares, direction=direction, points=5
    )
    start, step = torch.ones(4, dtype=torch.float64), direction["weight"][0]
    for amount, value in zip((-1, -0.5, 0, 0.5, 1), found["loss"], strict=True):
        expected = (inputs @ (start - amount * step)).square().sum().item() / 40
        assert value == pytest.approx(expected, rel=1e-10)
    matrix = inputs.mT @ inputs / 20
    along = (step @ matrix @ step / step.square().sum()).item()
    values = torch.linalg.eigvalsh(matrix)
    assert found.figures["curvature along direction 1"] == pytest.approx(along, rel=1e-10)
    assert found.figures["largest eigenvalue"] == pytest.approx(values[-1].item(), rel=1e-6)
    assert found.figures["lowest / largest"] == pytest.approx((values[0] / values[-1]).item())


def test_a_plane_has_rows_for_the_first_direction_and_columns_for_the_second():
    model = linear(2)
    axes = [{"weight": torch.tensor([row], dtype=torch.float64)} for row in ([1.0, 0], [0, 1.0])]
    identity = torch.eye(2, dtype=torch.float64), torch.tensor([[0.5], [-1.0]]).double()
    found = plane(model, identity, half_squares, directions=axes, points=3, eigenvalues=False)
    assert found["b = -1"] == pytest.approx([((a - 0.5) ** 2 + 0) / 4 for a in (-1, 0, 1)])
    assert (found.figures["at a"], found.figures["at b"]) == (0.0, -1.0)


@pytest.mark.parametrize("statistics", ["batch", "recomputed", "stored"])
def test_the_middle_of_a_line_is_the_loss_in_the_mode_that_is_stated(statistics):
    model, batch = small_network(), small_batch()
    found = line(model, batch, points=3, statistics=statistics, eigenvalues=False)["loss"][1]
    with torch.no_grad():
        training = nn.functional.cross_entropy(small_network()(batch[0]), batch[1]).item()
        stored = nn.functional.cross_entropy(small_network().eval()(batch[0]), batch[1]).item()
    if statistics == "recomputed":  # one batch: its variance over n − 1 is all that differs
        assert abs(found - training) < 0.02 < abs(stored - training)
    else:
        assert found == pytest.approx({"batch": training, "stored": stored}[statistics], rel=1e-12)


def test_recomputed_statistics_are_the_mean_over_the_batches():
    model = small_network()
    batches = [small_batch(seed=1), small_batch(seed=2)]
    with objective(model, batches, training=False) as held:
        recompute_statistics(held)
        mean, variance = (
            model.get_buffer("1.running_mean").clone(),
            model.get_buffer("1.running_var").clone(),
        )
        assert not model[1].training
        assert norms(model)[0].momentum == 0.1
    with torch.no_grad():
        outputs = [model[0](inputs) for inputs, _ in batches]
    means = torch.stack([output.mean((0, 2, 3)) for output in outputs])
    variances = torch.stack([output.var((0, 2, 3)) for output in outputs])
    torch.testing.assert_close(mean, means.mean(0))
    torch.testing.assert_close(variance, variances.mean(0))
    assert torch.equal(model.get_buffer("1.running_mean"), torch.zeros(4, dtype=torch.float64))


def test_a_convex_loss_has_no_barrier():
    batch = drawn(20, 4), drawn(20, 1, seed=1)
    ends = [{"weight": 3 * drawn(1, 4, seed=seed)} for seed in (2, 3)]
    found = barrier(linear(4), batch, half_squares, first=ends[0], second=ends[1])
    assert found.figures["barrier"] == pytest.approx(0, abs=1e-12)
    assert min(found["height"]) < -0.1


def test_the_barrier_between_two_wells_is_their_ridge():
    # (w² − 1)² between −1 and 1: at 0 it is 1, and both ends are 0.
    well = {"weight": torch.ones(1, 1, dtype=torch.float64)}
    batch = torch.ones(1, 1, dtype=torch.float64), None
    found = barrier(
        linear(1),
        batch,
        lambda output, _: ((output**2 - 1) ** 2).mean(),
        first={"weight": -well["weight"]},
        second=well,
    )
    assert (found.figures["barrier"], found.figures["at"]) == (1.0, 0.5)
    assert found["straight"] == (0.0,) * 21


def test_stored_statistics_make_a_barrier_that_recomputed_ones_do_not():
    model, batch = small_network(), small_batch(size=24)
    for _ in range(200):
        model(batch[0])
    first = weights_of(model)
    second = dict(first)
    second["0.weight"] = 20 * first["0.weight"]  # both compute the same, and so does a mean of them
    second["1.running_mean"] = 20 * first["1.running_mean"]
    second["1.running_var"] = 400 * first["1.running_var"]  # but not with a mean of the variances
    heights = {
        rule: barrier(model, batch, first=first, second=second, statistics=rule, points=5)
        for rule in ("recomputed", "stored")
    }
    highest = {rule: max(map(abs, found["height"])) for rule, found in heights.items()}
    assert highest["stored"] > 1e-3 > 1e-5 > highest["recomputed"]


def test_checkpoints_in_a_plane_are_drawn_to_scale():
    model = linear(30)
    axes = torch.linalg.qr(drawn(30, 2)).Q.mT
    places = torch.tensor([[0.0, 3], [1, 2], [2, 0.5], [4, 0]], dtype=torch.float64)
    checkpoints = [{"weight": (place @ axes)[None]} for place in places]
    batch = drawn(6, 30), drawn(6, 1, seed=4)
    path = principal_path(model, checkpoints)
    distances = torch.cdist(places, places)
    torch.testing.assert_close(torch.cdist(path.coordinates, path.coordinates), distances)
    assert path.coordinates[-1].tolist() == [0.0, 0.0]
    found = trajectory(model, batch, half_squares, checkpoints=checkpoints)
    assert found.figures["share of the plane"] == pytest.approx(1)
    expected = [half_squares(batch[0] @ c["weight"].mT, batch[1]).item() for c in checkpoints]
    assert found["loss"] == pytest.approx(expected, rel=1e-12)


def test_the_shares_are_those_of_the_covariance():
    model, points = linear(6), drawn(9, 6)
    checkpoints = [{"weight": point[None]} for point in points]
    spectrum = torch.linalg.eigvalsh(torch.cov(points.mT)).flip(0)
    found = principal_path(model, checkpoints).shares
    assert found[:6] == pytest.approx((spectrum / spectrum.sum()).tolist(), rel=1e-10)


def test_a_random_walk_looks_planar():
    assert walk_shares(4000)[0] == pytest.approx(6 / math.pi**2, rel=1e-3)
    assert walk_shares(4000)[1] == pytest.approx(6 / (4 * math.pi**2), rel=1e-3)
    points = drawn(12, 20000).cumsum(0)
    model = linear(20000)
    found = principal_path(model, [{"weight": point[None]} for point in points])
    assert found.shares == pytest.approx(walk_shares(12), rel=0.05)


def test_what_is_wrong_is_said():
    model, batch = linear(3), (drawn(4, 3), drawn(4, 1))
    one: dict[str, Tensor] = weights_of(model)
    with pytest.raises(ValueError, match="points must be odd"):
        line(model, batch, half_squares, points=4)
    with pytest.raises(ValueError, match="statistics must be batch, recomputed, stored, got 'no'"):
        line(model, batch, half_squares, statistics="no")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="reach must be positive, got 0"):
        plane(model, batch, half_squares, reach=0)
    with pytest.raises(ValueError, match="a plane needs two directions, got 1"):
        plane(model, batch, half_squares, directions=[one])
    with pytest.raises(ValueError, match="have no 'weight', so they are of another model"):
        barrier(model, batch, half_squares, first=one, second={})
    with pytest.raises(ValueError, match="three checkpoints or more, got 2"):
        trajectory(model, batch, half_squares, checkpoints=[one, one])
    with pytest.raises(ValueError, match="span no plane"):
        principal_path(model, [one, one, one])
