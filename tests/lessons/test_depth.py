"""The lesson: its numbers against closed forms and a hand loop, its budget, its errors."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import skipwise
from skipwise.analysis.depth.meanfield import SIGMOID, gaussian_mean, slope_factor
from skipwise.data import Digits
from skipwise.lessons import DESIGNS, Scope, depth_lesson
from skipwise.lessons.starts import measured_batch, profile, start_of
from skipwise.reports.lesson import DepthLesson, Profile
from tests.references import rings_file

TINY = Scope(depths=(4, 8), width=16, batch=32, measured=64, steps=3, trainings=2, starts=2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DepthLesson:
    data = rings_file(tmp_path_factory.mktemp("data") / "rings.npz")
    return depth_lesson(str(data), scope=TINY)


@pytest.fixture(scope="module")
def digits():
    return Digits().load()


def measured(key: str, depth: int, digits, *, width: int = 64, starts: int = 3) -> Profile:
    batch = measured_batch(digits, 128, 0)
    models = [start_of(DESIGNS[key], depth, width, digits, seed) for seed in range(starts)]
    return profile(key, depth, models, batch)


def test_all_designs_are_measured_and_trained_at_all_depths(tiny: DepthLesson):
    assert tiny.depths == (4, 8)
    assert tiny.left_out == ()
    assert {(p.design, p.depth) for p in tiny.profiles} == {(k, d) for k in DESIGNS for d in (4, 8)}
    assert len(tiny.trainings) == 2 * 2 * len(DESIGNS)
    assert {len(p.gradients) for p in tiny.profiles} == {2}
    assert all(len(t.losses) == 3 for t in tiny.trainings)


def test_the_same_seed_gives_the_same_numbers(tiny: DepthLesson, tmp_path: Path):
    again = depth_lesson(str(rings_file(tmp_path / "rings.npz")), scope=TINY)
    assert again.profiles == tiny.profiles
    assert again.trainings == tiny.trainings


def test_a_training_starts_from_the_network_that_was_measured(tiny: DepthLesson, digits):
    """The first loss of a training is that of the start, on the first batch."""
    from skipwise.experiment import build
    from skipwise.lessons.trainings import training_of

    experiment = training_of(Digits(), DESIGNS["plain"], 8, width=16, steps=1, seed=1, batch=32)
    run, _ = build(experiment, digits)
    start = start_of(DESIGNS["plain"], 8, 16, digits, 1)
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value.double(), start.state_dict()[name])


def test_norms_are_those_of_a_loop_by_hand(digits):
    found = measured("plain_norm", 8, digits, width=16, starts=1)
    model = start_of(DESIGNS["plain_norm"], 8, 16, digits, 0)
    x, labels = measured_batch(digits, 128, 0)
    states = [model.get_submodule("stem")(x)]
    states[0].retain_grad()
    for block in model.get_submodule("trunk.blocks").children():
        states.append(block(states[-1]))
        states[-1].retain_grad()
    norm, head = model.get_submodule("trunk.norm"), model.get_submodule("head")
    torch.nn.functional.cross_entropy(head(norm(states[-1])), labels).backward()
    norms = [float(state.grad.norm()) for state in states]
    np.testing.assert_allclose(found.gradients[0], np.array(norms) / norms[-1], rtol=1e-9)


def test_blocks_from_zero_leave_the_gradient_as_it_is(digits):
    found = measured("zero", 20, digits)
    assert all(value == 1.0 for seed in found.gradients for value in seed)
    assert found.expectation is not None
    assert found.expectation.holds
    assert set(found.expectation.values) == {1.0}


def test_the_unscaled_sum_doubles_the_squared_gradient_a_block(digits):
    found = measured("unscaled", 20, digits, width=256, starts=6)
    squares = np.array([seed[0] ** 2 for seed in found.gradients])
    standard = squares.std(ddof=1) / math.sqrt(len(squares))
    assert abs(squares.mean() - 2**9) < 5 * standard
    assert standard < 2**9 / 5


def test_the_scaled_sum_is_bounded_by_the_root_of_e(digits):
    found = measured("scaled", 56, digits, width=128, starts=4)
    expected = (1 + 1 / 27) ** 13.5
    assert found.ratio == pytest.approx(expected, rel=0.15)
    assert found.expectation is not None
    assert found.expectation.holds
    assert found.expectation.values[0] == pytest.approx(expected, rel=0.1)


def test_plain_batch_norm_explodes_by_its_factor(digits):
    found = measured("plain_norm", 56, digits, width=128, starts=2)
    assert found.expectation is not None
    assert found.expectation.holds
    assert found.expectation.values[0] == pytest.approx((math.pi / (math.pi - 1)) ** 27)
    assert found.per_layer == pytest.approx(1.2112, rel=0.02)


def test_a_sigmoid_network_loses_what_its_mean_field_says(digits):
    found = measured("sigmoid", 20, digits, width=256, starts=2)
    assert found.expectation is not None
    assert found.expectation.holds
    q = gaussian_mean(SIGMOID.value, 1.0)
    for _ in range(100):
        q = gaussian_mean(lambda z: SIGMOID.value(z) ** 2, q)
    assert found.per_layer == pytest.approx(math.sqrt(slope_factor(q, SIGMOID, 1.0)), rel=0.03)
    inside = [
        low <= value <= high
        for seed in found.gradients
        for low, value, high in zip(
            found.expectation.low, seed, found.expectation.high, strict=True
        )
    ]
    assert sum(inside) >= 0.9 * len(inside)


def test_plain_relu_scatters_as_theory_says(digits):
    batch = measured_batch(digits, 2, 0)
    models = [start_of(DESIGNS["plain"], 20, 64, digits, seed) for seed in range(40)]
    found = profile("plain", 20, models, batch)
    expected = math.sqrt(5 * found.layers / 64)
    # The standard deviation of 40 numbers is known to 11 %; the two examples share most of it.
    assert 0.67 * expected < found.scatter < 1.25 * expected


def with_a_clock_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second pass whenever the lesson looks at the clock."""
    from skipwise.lessons import depth

    times = iter(map(float, range(10_000)))
    monkeypatch.setattr(
        depth,
        "Clock",
        lambda s, kept: skipwise.lessons.Clock(s, kept=kept, now=lambda: next(times)),
    )


def test_a_lesson_without_time_ends_and_says_what_is_missing(tmp_path: Path, monkeypatch):
    with_a_clock_of_its_own(monkeypatch)
    data = str(rings_file(tmp_path / "rings.npz"))
    found = depth_lesson(data, seconds=0.05, scope=Scope(depths=(4, 110), width=16, steps=2))
    assert found.depths == (4,)
    assert found.trainings == ()
    assert any("110 layers" in sentence for sentence in found.left_out)


def test_a_depth_that_would_take_too_long_is_not_begun(tmp_path: Path, monkeypatch):
    with_a_clock_of_its_own(monkeypatch)
    data = str(rings_file(tmp_path / "rings.npz"))
    small = Scope(depths=(4, 400), width=8, steps=1, trainings=1, starts=1)
    found = depth_lesson(data, seconds=200, scope=small)
    assert found.depths == (4,)
    assert found.left_out[0].startswith("Networks of 400 layers are left out: that takes about")
    assert found.trained_depths("plain") == [4]


def test_data_without_classes_are_refused(tmp_path: Path):
    path = tmp_path / "numbers.npz"
    np.savez(path, x=np.random.randn(20, 4), y=np.random.randn(20))
    with pytest.raises(ValueError, match="the lesson trains classifiers"):
        depth_lesson(str(path))


def test_inputs_too_large_for_a_dense_layer_are_refused(tmp_path: Path):
    path = tmp_path / "large.npz"
    np.savez(path, x=np.zeros((20, 20_001), np.float32), y=np.arange(20) % 2)
    with pytest.raises(ValueError, match="20,001 numbers, more than 20,000"):
        depth_lesson(str(path))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"depths": (20, 8)}, "depths must rise"),
        ({"steps": 0}, "steps must be positive"),
        ({"batch": 1}, "at least 2"),
    ],
)
def test_a_scope_that_cannot_be_is_refused(wrong: dict, said: str):
    with pytest.raises(ValueError, match=said):
        Scope(**wrong)


def test_an_unknown_topic_names_those_there_are():
    with pytest.raises(ValueError, match="no lesson on 'width'; the topics are: depth"):
        skipwise.explain("width")
