"""What cannot be measured is said in one sentence."""

import math

import pytest
import torch
from torch import nn

from skipwise.analysis import Sites, find_sites, gradient_split, pose
from tests.analysis.models import along, residual_stack

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))


def normed() -> nn.Module:
    return nn.Sequential(*(nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5)) for _ in range(2)))


def broken() -> nn.Module:
    model = residual_stack(5, 2)
    with torch.no_grad():
        next(model.parameters())[0, 0] = math.nan
    return model


@pytest.mark.parametrize(
    ("model", "batch", "loss", "sentence"),
    [
        (broken(), (X, X), along, r"blocks\.0\.branch\.one\.weight holds numbers that are not"),
        (residual_stack(5, 2), (X, X), torch.mul, r"loss must be one number, got \(4, 5\)"),
        (residual_stack(5, 2), (X, X), lambda o, t: o.sum().item(), "one number, got float"),
        (residual_stack(5, 2), (X, X), lambda o, t: o.detach().sum(), "does not depend on"),
        (residual_stack(5, 2), (X, X), lambda o, t: o.sum() * math.inf, "the loss is -?inf"),
        (normed(), (X[:1], X[:1]), along, r"one example has no statistics for 0\.1"),
        (residual_stack(5, 2).to("meta"), (X, X), along, "is on meta and the batch on cpu"),
        (nn.Linear(5, 5), (X, X), along, "Linear has no blocks that repeat"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(model, batch, loss, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        gradient_split(model, batch, loss)


def test_what_is_no_model_or_no_batch():
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        pose(3, (X, X))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"batch must be a pair \(inputs, targets\), got Tensor"):
        pose(residual_stack(5, 2), X)
    with pytest.raises(ValueError, match="the sites are of another model"):
        gradient_split(normed(), (X, X), along, sites=find_sites(residual_stack(5, 2)))


def test_a_batch_of_one_is_measured_in_evaluation_mode():
    assert gradient_split(normed().eval(), (X[:1], X[:1]), along).rows == ("0", "1")


def test_a_batch_of_one_picture_has_statistics():
    blocks = (nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2))
    picture = torch.randn(1, 3, 4, 4)
    assert gradient_split(nn.Sequential(*blocks), (picture, picture), along).rows == ("0", "1")


def test_inputs_may_be_several_or_named():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x, hidden = torch.randn(2, 3, 8), torch.zeros(2, 3, dtype=torch.bool)
    named = {"src": x, "src_key_padding_mask": hidden}
    several = (x, None, hidden)
    first, second = (gradient_split(model, (i, x), along) for i in (named, several))
    assert first == second


def test_a_compiled_model_is_measured_as_what_it_was_made_of():
    model = residual_stack(5, 2)
    compiled = torch.compile(model)
    assert isinstance(compiled, nn.Module)
    assert gradient_split(compiled, (X, X), along) == gradient_split(model, (X, X), along)
    assert isinstance(find_sites(model), Sites)
