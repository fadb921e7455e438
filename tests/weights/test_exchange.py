"""Weights exchanged with torchvision and timm: the same logits, with every tensor random."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from skipwise import networks
from skipwise.networks import Network
from skipwise.shapes import Ends
from skipwise.weights import from_theirs, names_of_timm_v2, names_of_torchvision, to_theirs

ENDS = Ends(inputs=(3, 96, 96), outputs=(17,))
NAMES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "wide_resnet50_2",
)


def disturbed(model: nn.Module) -> nn.Module:
    """Give every tensor a value of its own that keeps the signal of a deep network finite."""
    noise = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=noise)
            if value.dim() > 1:
                value.copy_(drawn * (2 / value[0].numel()) ** 0.5)
            else:
                value.copy_(1 + 0.2 * drawn.clamp(-3, 3) if "bias" not in name else 0.2 * drawn)
    return model.eval()


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    x = torch.randn(2, *ENDS.inputs, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, wanted = ours(x), theirs(x)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_torchvisions_weights_give_torchvisions_logits(name: str):
    theirs = disturbed(vars(torchvision.models)[name](weights=None, num_classes=17))
    ours = vars(networks)[name]().build(ENDS).eval()
    assert isinstance(ours, Network)
    from_theirs(ours, theirs.state_dict(), names_of_torchvision(ours))
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_our_weights_give_our_logits_in_torchvision(name: str):
    ours = disturbed(vars(networks)[name]().build(ENDS))
    assert isinstance(ours, Network)
    theirs = vars(torchvision.models)[name](weights=None, num_classes=17).eval()
    theirs.load_state_dict(to_theirs(ours, names_of_torchvision(ours)))
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("name", "theirs", "names"),
    [
        ("resnet50", "resnet50", names_of_torchvision),
        ("resnet50_d", "resnet50d", names_of_torchvision),
        ("resnext50_32x4d", "resnext50_32x4d", names_of_torchvision),
        ("resnetv2_50", "resnetv2_50", names_of_timm_v2),
    ],
)
def test_timms_weights_give_timms_logits(name: str, theirs: str, names):
    model = disturbed(timm.create_model(theirs, num_classes=17))
    ours = vars(networks)[name]().build(ENDS).eval()
    assert isinstance(ours, Network)
    from_theirs(ours, model.state_dict(), names(ours))
    assert_same(ours, model)


def test_a_file_of_another_network_is_refused_with_its_first_tensor():
    ours = networks.resnet18().build(ENDS)
    assert isinstance(ours, Network)
    names = names_of_torchvision(ours)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    other = torchvision.models.resnet50(weights=None, num_classes=17).state_dict()
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1\.weight has shape"):
        from_theirs(ours, other, names)
    with pytest.raises(ValueError, match=r"the file has no conv1\.weight"):
        from_theirs(ours, {}, names)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
