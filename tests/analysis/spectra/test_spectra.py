"""Eigenvalues, traces and densities of matrices that are known."""

import math

import pytest
import torch

from skipwise.analysis.spectra import (
    dense,
    extreme_eigenvalues,
    jackknifed,
    lanczos,
    mean_of,
    preconditioned,
    shifted,
    spectral_density,
    trace,
)
from skipwise.analysis.spectra.operator import gaussian_vector

DIAGONAL = torch.tensor([5.0, 5.0, 5.0, 2.0, 2.0, -1.0, 0.5, 0.5], dtype=torch.float64)


def symmetric(size: int) -> torch.Tensor:
    drawn = torch.randn(
        size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size)
    )
    return drawn + drawn.mT


def test_all_steps_give_all_eigenvalues():
    matrix = symmetric(30)
    found = extreme_eigenvalues(dense(matrix), count=30, tolerance=0)
    expected = torch.linalg.eigvalsh(matrix).flip(0)
    assert found.values == pytest.approx(expected.tolist(), rel=1e-10)
    assert found.lowest == pytest.approx(expected[-1].item(), rel=1e-10)


def test_few_steps_find_the_ends_within_their_bounds_and_their_directions():
    matrix = symmetric(200)
    matrix[0, 0] += 60
    found = extreme_eigenvalues(dense(matrix), count=2, steps=80)
    truth = torch.linalg.eigvalsh(matrix).flip(0)
    assert found.converged
    assert found.products < 80
    for value, bound, true in zip(found.values, found.bounds, truth.tolist(), strict=False):
        assert abs(value - true) <= bound + 1e-10
    top = found.vectors[0]
    assert torch.linalg.vector_norm(matrix @ top - found.values[0] * top).item() < 1e-2


def test_vectors_stay_orthogonal_and_no_eigenvalue_appears_twice():
    spectrum = torch.logspace(4, -8, 60, dtype=torch.float64)  # where plain Lanczos makes copies
    operator = dense(torch.diag(spectrum))
    *_, last = lanczos(operator, gaussian_vector(operator, 0), 60)
    identity = torch.eye(60, dtype=torch.float64)
    torch.testing.assert_close(last.basis @ last.basis.mT, identity, rtol=0, atol=1e-13)
    values = torch.linalg.eigvalsh(last.tridiagonal).flip(0)
    torch.testing.assert_close(values[:10], spectrum[:10], rtol=1e-10, atol=0)


def test_an_eigenvalue_of_several_vectors_is_found_as_often_after_all_steps():
    found = extreme_eigenvalues(dense(torch.diag(DIAGONAL)), count=8, steps=8, tolerance=0)
    assert found.values == pytest.approx(sorted(DIAGONAL.tolist(), reverse=True), abs=1e-12)


def test_a_matrix_of_zeros_has_the_eigenvalue_zero():
    found = extreme_eigenvalues(dense(torch.zeros(4, 4)))
    assert found.values == (0.0,)
    assert math.isnan(found.negativity)


def test_the_samples_of_a_trace_have_the_variance_of_the_formula():
    # [[2, 1], [1, 3]]: mean 5, variance 2·(1² + 1²) = 4 exactly, a sample being 3 or 7.
    found = trace(dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]])), probes=400)
    assert abs(found.value - 5) < 5 * found.error
    assert found.error == pytest.approx(math.sqrt(4 / 400), rel=0.05)


def test_the_trace_of_a_diagonal_matrix_has_no_error():
    found = trace(dense(torch.diag(DIAGONAL)), probes=3)
    assert (found.value, found.error) == (DIAGONAL.sum().item(), 0.0)


def test_the_density_of_few_eigenvalues_is_exact():
    found = spectral_density(dense(torch.diag(DIAGONAL)), steps=8, probes=2)
    kept = found.weights > 0
    assert found.nodes[0][kept[0]].tolist() == pytest.approx([-1.0, 0.5, 2.0, 5.0], abs=1e-12)
    assert found.weights[0][kept[0]].tolist() == pytest.approx([1 / 8, 2 / 8, 2 / 8, 3 / 8])
    assert found.share_above(1.0).value == pytest.approx(5 / 8)


def test_the_quadrature_is_exact_to_twice_the_steps_less_one():
    spectrum = torch.linspace(-1, 2, 50, dtype=torch.float64)
    found = spectral_density(dense(torch.diag(spectrum)), steps=4, probes=1)
    for power in range(8):
        assert found.moment(power).value == pytest.approx((spectrum**power).mean().item())
    assert found.moment(8).value != pytest.approx((spectrum**8).mean().item())


def test_the_curve_of_a_density_has_the_area_one():
    found = spectral_density(dense(symmetric(40)), steps=10)
    values = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    assert torch.trapezoid(found.curve(values, 0.5), values).item() == pytest.approx(1, abs=1e-6)


def test_preconditioned_has_the_eigenvalues_of_the_quotient():
    matrix, diagonal = symmetric(12), torch.linspace(0.5, 4, 12, dtype=torch.float64)
    found = extreme_eigenvalues(preconditioned(dense(matrix), diagonal), steps=12, tolerance=0)
    truth = torch.linalg.eigvals(matrix / diagonal[:, None]).real
    assert found.values[0] == pytest.approx(truth.max().item(), rel=1e-10)
    assert found.lowest == pytest.approx(truth.min().item(), rel=1e-10)


def test_a_parameter_that_does_not_move_is_left_out():
    matrix = symmetric(6)
    diagonal = torch.ones(6, dtype=torch.float64)
    diagonal[0] = math.inf
    found = extreme_eigenvalues(preconditioned(dense(matrix), diagonal), steps=6, tolerance=0)
    assert found.values[0] == pytest.approx(torch.linalg.eigvalsh(matrix[1:, 1:])[-1].item())


def test_shifted_adds_to_the_diagonal():
    found = extreme_eigenvalues(shifted(dense(torch.diag(DIAGONAL)), 0.25), tolerance=0)
    assert found.values[0] == pytest.approx(5.25)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    samples = [1.0, 4.0, 2.0, 7.0]
    without = [(sum(samples) - sample) / 3 for sample in samples]
    assert jackknifed(3.5, without).error == pytest.approx(mean_of(samples).error)
    assert mean_of(samples).error == pytest.approx(7.0**0.5 / 2)  # squares 6.25 .25 2.25 12.25
    assert math.isnan(mean_of([1.0]).error)


def test_what_is_wrong_is_said():
    operator = dense(torch.eye(3))
    with pytest.raises(ValueError, match="a matrix of 3 rows has no 4 eigenvalues"):
        extreme_eigenvalues(operator, count=4)
    with pytest.raises(ValueError, match="probes must be positive, got 0"):
        trace(operator, probes=0)
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        next(lanczos(operator, torch.ones(3), 0))
    with pytest.raises(ValueError, match="a preconditioner must be positive"):
        preconditioned(operator, torch.zeros(3))
    with pytest.raises(ValueError, match="width must be positive"):
        spectral_density(operator).curve(torch.ones(1), 0.0)
    with pytest.raises(ValueError, match="is not finite: the loss or its gradients overflow"):
        extreme_eigenvalues(dense(torch.full((2, 2), math.inf)))
