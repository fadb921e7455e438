"""Files of every kind give the same tensors; whatever is no file of weights is refused."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skipwise.connections import Projected
from skipwise.networks import LargeStem, preresnet20, resnet18, resnet20
from skipwise.shapes import Ends
from skipwise.weights import ends_of, fill, load_network, read_source, read_weights, save_as

ENDS = Ends(inputs=(3, 8, 8), outputs=(4,))


def some_tensors() -> dict[str, Tensor]:
    return {"conv1.weight": torch.randn(4, 3, 3, 3), "fc.bias": torch.randn(5)}


def write(path: str, tensors: dict[str, Tensor]) -> Path:
    if path.endswith(".safetensors"):
        save_file(tensors, path)
    elif path.endswith(".npz"):
        arrays: dict[str, Any] = {name: value.numpy() for name, value in tensors.items()}
        np.savez(path, **arrays)
    else:
        torch.save(tensors, path)
    return Path(path)


@pytest.mark.parametrize(
    "name", ["a.safetensors", "a.npz", "a.pth", "a.pt", "a.th", "a.bin", "a.pth.tar"]
)
def test_every_kind_of_file_gives_the_same_tensors(name: str):
    tensors = some_tensors()
    loud = write(name, tensors).rename(name.upper())
    for path in (loud, write(name, tensors)):
        found, _ = read_weights(path)
        assert list(found) == list(tensors)
        assert all(torch.equal(value, found[name]) for name, value in tensors.items())


def test_what_programs_wrap_around_tensors_is_taken_off():
    tensors = some_tensors()
    parallel = {f"module._orig_mod.{name}": value for name, value in tensors.items()}
    for wrapped in (
        {"state_dict": tensors, "best": 91.7},
        {"state_dict": tensors, "best_acc1": torch.tensor(76.1), "epoch": 90},
        {"model": {"state_dict": parallel}, "epoch": 3, "args": {"lr": 0.1}},
        {"model_state_dict": parallel, "optimizer": {"state": {0: torch.zeros(2)}}},
        {**parallel, "epoch": 3},
    ):
        torch.save(wrapped, "wrapped.pth")
        assert list(read_weights(Path("wrapped.pth"))[0]) == list(tensors)


def test_our_own_tensors_without_a_card_tell_their_network():
    for description in (resnet20(), preresnet20(), resnet18()):
        model = description.build(ENDS)
        source = read_source(write("own.pth", model.state_dict()))
        assert source.card is None
        loaded = load_network("own.pth", ends=ENDS)
        x = torch.randn(2, 3, 8, 8)
        with torch.no_grad():
            assert torch.equal(loaded(x), model.eval()(x))


def test_a_cifar_network_with_projections_tells_itself_and_the_callers_generator_stays():
    description = replace(resnet20(), width=4, blocks=(2, 1), shortcut=Projected())
    model = description.build(ENDS).eval()
    save_as("projected.pth", model, "cifar")
    assert "layer2.0.shortcut.1.running_mean" in read_source("projected.pth").tensors
    before, x = torch.get_rng_state(), torch.zeros(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(load_network("projected.pth")(x), model(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_whole_batch_of_wrong_files_is_refused_without_advice_to_unpickle():
    torch.save({"state_dict": some_tensors(), "args": argparse.Namespace(lr=1)}, "objects.pth")
    np.savez("objects.npz", x=np.array([{}], dtype=object))
    np.save("one.npy", np.zeros(3))
    whole = write("whole.pth", some_tensors()).read_bytes()
    torch.save(some_tensors(), "old.pth", _use_new_zipfile_serialization=False)
    for name, content in (
        ("empty.pth", b""),
        ("text.pth", b"hello, these are no weights"),
        ("cut.pth", whole[: len(whole) // 2]),
        ("cutold.th", Path("old.pth").read_bytes()[:-40]),
        ("cut.npz", write("whole.npz", some_tensors()).read_bytes()[:200]),
        ("text.npz", b"hello"),
        ("one.npz", Path("one.npy").read_bytes()),
        ("cut.safetensors", write("whole.safetensors", some_tensors()).read_bytes()[:100]),
        ("picture.png", b"hello"),
    ):
        Path(name).write_bytes(content)
    torch.save({"epoch": 3}, "nothing.pth")
    torch.save([1, 2], "list.pth")
    for name, told in (
        ("objects.pth", "holds objects beside its tensors.* could run code, so it is refused"),
        ("objects.npz", "no archive of plain arrays, or damaged"),
        ("missing.pth", "missing.pth does not exist"),
        ("empty.pth", "empty.pth is empty"),
        ("text.pth", "it is no file of PyTorch, or damaged"),
        ("cut.pth", "it is no file of PyTorch, or damaged"),
        ("cutold.th", "it is no file of PyTorch, or damaged"),
        ("cut.npz", "or damaged"),
        ("text.npz", "no archive of plain arrays"),
        ("one.npz", "no archive of plain arrays"),
        ("cut.safetensors", "cut.safetensors cannot be read as weights"),
        ("picture.png", r"give a file \.safetensors, \.pth or \.npz"),
        ("nothing.pth", "holds no tensors by name"),
        ("list.pth", "holds no tensors by name"),
    ):
        with pytest.raises(ValueError, match=told) as refused:
            read_source(name)
        assert "weights_only" not in str(refused.value)
        assert "allow_pickle" not in str(refused.value)


def test_names_and_stems_that_are_unknown_are_named():
    source = read_source(write("strange.pth", {"blob.w": torch.zeros(2, 3)}))
    with pytest.raises(ValueError, match=r"'blob.w' of shape \(2, 3\).*--network NAME"):
        source.network()
    five = torch.zeros(8, 3, 5, 5)
    block = {"layer1.0.conv1.weight": torch.zeros(8, 8, 3, 3), "layer1.0.conv2.weight": five}
    source = read_source(write("five.pth", {"conv1.weight": five, **block}))
    with pytest.raises(ValueError, match=r"conv1.weight is a convolution of 5×5"):
        source.network()


def test_a_file_with_a_number_that_is_not_finite_leaves_the_network_as_it_was():
    model, other = (resnet20().build(ENDS) for _ in range(2))
    tensors = {name: value.clone() for name, value in other.state_dict().items()}
    tensors["trunk.blocks.4.branch.norm1.bias"][2] = torch.nan
    before = {name: value.clone() for name, value in model.state_dict().items()}
    source = read_source(write("nan.pth", tensors))
    with pytest.raises(ValueError, match=r"blocks\.4\.branch\.norm1\.bias holds NaN"):
        fill(model, source, keep_head=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_size_that_a_file_of_others_reads_follows_its_stem():
    large = resnet18().build(Ends(inputs=(3, 224, 224), outputs=(6,)))
    save_as("large.pth", large, "torchvision")
    source = read_source("large.pth")
    assert source.stem == LargeStem()
    assert ends_of(source) == Ends(inputs=(3, 224, 224), outputs=(6,))


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("{", "it is no JSON object"),
        ("[1]", "it is no JSON object"),
        ('{"format": 1, "network": {}}', "a card that is damaged: .*missing"),
        ('{"format": 99}', "written by another version of Skipwise"),
    ],
)
def test_a_damaged_card_is_refused(card: str, told: str):
    save_file(some_tensors(), "card.safetensors", metadata={"skipwise": card})
    with pytest.raises(ValueError, match=told):
        read_source("card.safetensors")
