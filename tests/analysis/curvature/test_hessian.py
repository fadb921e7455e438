"""The Hessian against closed forms, against all second derivatives, and against curvlinops."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from skipwise.analysis import hessian, hessian_density, hessian_spectrum
from skipwise.analysis.curvature import hessian_of, objective
from skipwise.analysis.spectra import Operator, extreme_eigenvalues, trace
from tests.analysis.curvature.problems import (
    NOTHING,
    Product,
    dense_hessian,
    drawn,
    half_squares,
    linear,
    norms,
    product_loss,
    small_batch,
    small_network,
)


def whole(operator: Operator) -> Tensor:
    """Write the matrix down, column by column."""
    unit = torch.eye(operator.size, dtype=operator.dtype)
    return torch.stack([operator.product(column) for column in unit], 1)


def test_of_least_squares_it_is_the_mean_of_products():
    inputs = drawn(20, 5)
    with hessian(linear(5), (inputs, drawn(20, 1, seed=1)), half_squares) as matrix:
        torch.testing.assert_close(whole(matrix), inputs.mT @ inputs / 20, rtol=1e-10, atol=1e-12)


def test_of_a_logistic_regression_at_zero_it_is_a_quarter_of_that():
    inputs, labels = drawn(20, 5), (torch.arange(20) % 2).double()[:, None]
    loss = functional.binary_cross_entropy_with_logits
    with hessian(linear(5), (inputs, labels), loss) as matrix:
        torch.testing.assert_close(
            whole(matrix), inputs.mT @ inputs / (4 * 20), rtol=1e-10, atol=1e-12
        )


def test_of_a_softmax_at_zero_it_is_a_kronecker_product():
    inputs, classes = drawn(20, 4), torch.arange(20) % 3
    spread = torch.eye(3, dtype=torch.float64) / 3 - 1 / 9
    expected = torch.kron(spread, inputs.mT @ inputs / 20)
    with hessian(linear(4, 3), (inputs, classes)) as matrix:
        torch.testing.assert_close(whole(matrix), expected, rtol=1e-10, atol=1e-12)


def test_of_a_product_it_is_known_everywhere():
    x, y = 1.9, 0.55
    expected = torch.tensor([[y * y, 2 * x * y - 1], [2 * x * y - 1, x * x]], dtype=torch.float64)
    with hessian(Product(x, y), NOTHING, product_loss) as matrix:
        torch.testing.assert_close(whole(matrix), expected, rtol=1e-12, atol=1e-12)


def test_at_a_minimum_of_the_product_one_eigenvalue_is_the_squares_and_one_zero():
    found = hessian_spectrum(Product(2.0, 0.5), NOTHING, product_loss, count=2, probes=1)
    assert found["value"] == pytest.approx((4.25, 0.0), abs=1e-12)


def test_in_training_mode_it_is_that_of_all_second_derivatives():
    model, batch = small_network(), small_batch()
    truth = dense_hessian(model, batch)
    with hessian(model, batch) as matrix:
        torch.testing.assert_close(whole(matrix), truth, rtol=1e-9, atol=1e-11)
    found = hessian_spectrum(model, batch, count=2, probes=40)
    values = torch.linalg.eigvalsh(truth)
    assert found["value"][0] == pytest.approx(values[-1].item(), rel=1e-5)
    assert found.figures["lowest"] == pytest.approx(values[0].item(), rel=1e-3)
    error = found.figures["standard error of the trace"]
    assert abs(found.figures["trace"] - truth.trace().item()) < 5 * error


def test_the_modes_differ_and_evaluation_mode_is_exact_too():
    model, batch = small_network(), small_batch()
    with hessian(model, batch, training=False) as matrix:
        found = whole(matrix)
    torch.testing.assert_close(found, dense_hessian(model.eval(), batch), rtol=1e-9, atol=1e-11)
    assert not torch.allclose(found, dense_hessian(model.train(), batch), rtol=0.1)


def test_of_several_batches_it_is_their_mean_by_examples():
    model = small_network()
    batches = [small_batch(size=8), small_batch(size=4, seed=9)]
    truth = (8 * dense_hessian(model, batches[0]) + 4 * dense_hessian(model, batches[1])) / 12
    with hessian(model, batches) as matrix:
        torch.testing.assert_close(whole(matrix), truth, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("factor", [2.0, 0.25])
def test_the_scale_of_a_weight_before_a_norm_divides_gradient_and_hessian(factor: float):
    model, batch = small_network(), small_batch()
    for norm in norms(model):
        norm.eps = 1e-30
    with objective(model, batch, of="0.weight") as held:
        before, gradient = whole(hessian_of(held)), held.gradient(0)
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(factor)
    with objective(model, batch, of="0.weight") as held:
        torch.testing.assert_close(held.gradient(0) * factor, gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(
            whole(hessian_of(held)) * factor**2, before, rtol=1e-8, atol=1e-10
        )


def test_the_density_has_the_moments_of_all_second_derivatives():
    model, batch = small_network(), small_batch()
    truth = dense_hessian(model, batch)
    found = hessian_density(model, batch, steps=20, probes=30)
    error = 5 * found.figures["standard error of the mean"]
    assert abs(found.figures["mean"] - truth.trace().item() / len(truth)) < error
    root = truth.square().sum().div(len(truth)).sqrt().item()
    assert found.figures["root mean square"] == pytest.approx(root, rel=0.2)


def test_single_precision_agrees_with_double():
    found = hessian_spectrum(small_network(torch.float32), small_batch(torch.float32), probes=1)
    truth = torch.linalg.eigvalsh(dense_hessian(small_network(), small_batch()))
    assert found["value"][0] == pytest.approx(truth[-1].item(), rel=1e-3)


def test_a_loss_that_is_linear_has_no_curvature():
    found = hessian_spectrum(linear(3), (drawn(4, 3), None), lambda output, _: output.mean())
    assert found["value"] == (0.0,)
    assert found.figures["trace"] == 0.0


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


class Recurrence(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.GRU(4, 3, batch_first=True, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]


@pytest.mark.parametrize("kind", [Attention, Recurrence])
def test_attention_and_recurrence_have_second_derivatives(kind: type[nn.Module]):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind()
    batch = drawn(3, 5, 4), None
    with objective(model, batch, lambda out, _: out.square().mean(), weights=True) as held:
        direction = drawn(sum(p.numel() for p in held.tensors), seed=2)
        product, ends = hessian_of(held).product(direction), []
        for sign in (1, -1):
            with torch.no_grad():
                for part, parameter in zip(held.parts(direction), held.tensors, strict=True):
                    parameter.add_(part, alpha=(1 if sign > 0 else -2) * 1e-5)
            ends.append(held.gradient(0))
        slope = (ends[0] - ends[1]) / 2e-5
    torch.testing.assert_close(product, slope, rtol=1e-5, atol=1e-8)


def test_random_layers_draw_the_same_in_every_product():
    model = nn.Sequential(linear(6, 6), nn.Dropout(0.5), linear(6))
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    batches = [(drawn(8, 6, seed=n), drawn(8, 1, seed=n)) for n in range(2)]
    with hessian(model, batches, half_squares) as matrix:
        vector = drawn(matrix.size)
        assert torch.equal(matrix.product(vector), matrix.product(vector))
        written = whole(matrix)
        torch.testing.assert_close(written, written.mT, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # theirs
def test_curvlinops_finds_the_same():
    import curvlinops

    # In evaluation mode: of BatchNorm in training mode theirs is not symmetric, see LOG.md.
    model, (inputs, classes) = small_network().eval(), small_batch()
    parameters = list(model.parameters())
    theirs = curvlinops.HessianLinearOperator(
        model, nn.CrossEntropyLoss(), parameters, [(inputs, classes)]
    )
    written = theirs @ torch.eye(theirs.shape[1], dtype=torch.float64)
    assert isinstance(written, torch.Tensor)
    with hessian(model, (inputs, classes), training=False) as matrix:
        torch.testing.assert_close(whole(matrix), written, rtol=1e-9, atol=1e-11)
        top = extreme_eigenvalues(matrix).values[0]
        assert top == pytest.approx(torch.linalg.eigvalsh(written)[-1].item(), rel=1e-3)
        estimate = trace(matrix, probes=40)
        assert abs(estimate.value - written.trace().item()) < 5 * estimate.error
