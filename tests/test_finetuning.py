"""Fine-tuning on real digits: what is kept, what is new, what stays frozen, what moves slower."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import skipwise
from skipwise.connections import Projected
from skipwise.data import Arrays, Preprocessing
from skipwise.experiment import build, compose
from skipwise.finetuning import distances_from_head
from skipwise.networks import AutoStem, LargeStem, Network, ResNet, resnet20, resnet56
from skipwise.runs import begin, experiment_of, go_on
from skipwise.shapes import Ends
from skipwise.strategies import Constant, sgd
from skipwise.training import Step, load_checkpoint
from skipwise.training import train as steps_of
from skipwise.weights import read_tensors, save_as

SMALL = replace(resnet20(), name="small", width=8, blocks=(1, 1), shortcut=Projected())


def digits_in(name: str, kept: range) -> Arrays:
    """Write those of scikit-learn's digits that lie in a range, their classes named."""
    x, y = load_digits(return_X_y=True)
    here = np.isin(y, kept)
    pictures = np.round(x[here].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    np.savez(name, x=pictures, y=y[here] - kept.start, classes=np.array([str(n) for n in kept]))
    return Arrays(path=name, flip=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the digits 0 to 4."""
    folder = tmp_path_factory.mktemp("base")
    data = digits_in(str(folder / "low.npz"), range(5))
    record = skipwise.train(data, SMALL, epochs=25, out=str(folder / "run"), quiet=True)
    assert record.test is not None
    assert record.test.metrics["accuracy"] > 0.9
    return folder / "run"


@pytest.fixture
def high() -> Arrays:
    return digits_in("high.npz", range(5, 10))


def tensors_of(run: str | Path) -> dict[str, torch.Tensor]:
    return read_tensors(Path(run) / "best.safetensors")[0]


@pytest.mark.parametrize(("freeze", "still"), [("trunk", 2), (0, 0), (1, 1), (2, 2), (None, None)])
def test_what_is_frozen_stays_bit_for_bit_and_the_rest_moves(trained, high, freeze, still):
    skipwise.train(high, weights=trained, freeze=freeze, steps=5, out="tuned", quiet=True)
    before, after = tensors_of(trained), load_checkpoint(Path("tuned/last.ckpt"))["run"]["model"]
    begins = () if still is None else ("stem.", *(f"trunk.blocks.{n}." for n in range(still)))
    frozen = [name for name in before if name.startswith(begins)] if begins else []
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    moved = [name for name in before if name not in frozen and "num_batches" not in name]
    assert all(not torch.equal(before[name], after[name]) for name in moved)
    assert {"head.linear.weight", "head.linear.bias"} <= set(moved)


def test_a_frozen_trunk_carries_over_to_digits_it_has_never_seen(trained, high):
    """Ten epochs of the head alone; the same head on a trunk of one step for comparison."""
    low = Arrays(path=str(trained.parent / "low.npz"), flip=False)
    skipwise.train(low, SMALL, steps=1, out="random", quiet=True)
    scores = []
    for weights in (trained, "random"):
        settings = {"weights": weights, "freeze": "trunk", "epochs": 10, "quiet": True}
        record = skipwise.train(high, SMALL, skipwise.nesterov(), **settings)
        assert record.test is not None
        scores.append(record.test.metrics["accuracy"])
    assert scores[0] > 0.55
    assert scores[0] > scores[1] + 0.2


def test_frozen_parts_cost_no_backward_pass(trained, high):
    experiment, dataset = compose(high, weights=trained, freeze=1, steps=1)
    model = build(experiment, dataset)[0].model
    heard = []
    for block in (model.get_submodule("trunk.blocks.0"), model.get_submodule("trunk.blocks.1")):
        block.register_forward_hook(lambda _, __, output: heard.append(output.requires_grad))
    model(torch.randn(2, 1, 8, 8))
    assert heard == [False, True]


def test_a_head_of_the_same_classes_is_kept_and_of_others_is_new(trained, high):
    same, other = Arrays(path=str(trained.parent / "low.npz"), flip=False), high
    before = tensors_of(trained)
    models = {}
    for data, seed in ((same, 0), (other, 0), (other, 1)):
        experiment, dataset = compose(data, weights=trained, steps=1, seed=seed)
        run, _ = build(experiment, dataset)
        models[data, seed] = run.model.state_dict()
    for state in models.values():
        body = [name for name in before if not name.startswith("head.")]
        assert all(torch.equal(before[name], state[name]) for name in body)
    heads = [state["head.linear.weight"] for state in models.values()]
    assert torch.equal(heads[0], before["head.linear.weight"])
    assert not torch.equal(heads[1], before["head.linear.weight"])
    assert not torch.equal(heads[1], heads[2])


def test_a_fine_tuning_run_resumes_exactly_without_the_file(trained, high):
    strategy = replace(skipwise.momentum(), layer_decay=0.7)
    shutil.copytree(trained, "source")
    settings = {"weights": "source", "freeze": 0, "steps": 12, "batch_size": 32}
    experiment, dataset = compose(high, None, strategy, **settings)
    for _ in begin(experiment, dataset, Path("whole")).events():
        pass
    session = begin(experiment, dataset, Path("cut"))
    for event in session.events():
        if isinstance(event, Step) and event.step == 5:
            session.save()
            break
    shutil.rmtree("source")
    for _ in go_on(Path("cut"))[0].events():
        pass
    whole, cut = (load_checkpoint(Path(run, "last.ckpt"))["run"] for run in ("whole", "cut"))
    assert all(torch.equal(value, cut["model"][name]) for name, value in whole["model"].items())
    for mine, other in zip(*(r["optimiser"]["state"].values() for r in (whole, cut)), strict=True):
        assert torch.equal(mine["momentum_buffer"], other["momentum_buffer"])


def test_the_experiment_file_of_a_fine_tuning_run_repeats_it(trained, high):
    skipwise.train(high, weights=trained, freeze=1, steps=4, out="a", quiet=True)
    experiment = experiment_of(Path("a"))
    for _ in begin(experiment, experiment.data.load(), Path("b")).events():
        pass
    assert Path("a/best.safetensors").read_bytes() == Path("b/best.safetensors").read_bytes()


def test_a_block_that_is_the_kth_before_the_head_learns_at_the_kth_power(trained, high):
    """One step of gradient descent: each change is d^k times that without layer decay."""
    changes = []
    for d in (1.0, 0.5):
        strategy = replace(sgd(), weight_decay=0.0, schedule=Constant(), layer_decay=d)
        experiment, dataset = compose(
            high, None, strategy, weights=trained, steps=1, precision="float32"
        )
        run, _ = build(experiment, dataset)
        before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
        list(steps_of(run))
        after = dict(run.model.named_parameters())
        changes.append({name: after[name].detach() - value for name, value in before.items()})
    powers = {"stem": 3, "trunk.blocks.0": 2, "trunk.blocks.1": 1, "head": 0}
    for name, change in changes[1].items():
        k = next(power for part, power in powers.items() if name.startswith(part))
        torch.testing.assert_close(change, 0.5**k * changes[0][name], rtol=1e-3, atol=1e-6)


def test_the_norm_before_the_head_is_as_near_as_the_head():
    network = skipwise.networks.preresnet20().build(Ends(inputs=(3, 8, 8), outputs=(2,)))
    found = distances_from_head(network)
    assert (found["trunk.norm.norm.weight"], found["head.linear.bias"]) == (0, 0)
    assert (found["trunk.blocks.8.branch.conv1.weight"], found["stem.conv.weight"]) == (1, 10)


def test_grey_pictures_in_a_colour_network_are_repeated_pictures():
    grey = torch.randint(0, 256, (2, 1, 5, 5), dtype=torch.uint8)
    reads = Preprocessing(channels=3, size=(5, 5), mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 3.0))
    assert torch.equal(reads(grey), reads(grey.repeat(1, 3, 1, 1)))


def test_digits_fine_tune_a_colour_network_and_are_predicted_in_both_forms(high):
    network = SMALL.build(Ends(inputs=(3, 8, 8), outputs=(7,)))
    assert isinstance(network, Network)
    save_as("colour.pth", network, "torchvision")
    record = skipwise.train(high, weights="colour.pth", steps=3, quiet=True)
    predictor = skipwise.load(record)
    pictures = high.load().test
    assert pictures is not None
    grey = pictures.gather(torch.arange(9))[0]
    assert torch.equal(predictor.outputs(grey), predictor.outputs(grey.repeat(1, 3, 1, 1)))
    weights = predictor.model.get_parameter("stem.conv.weight")
    assert weights.shape[1] == 3
    assert predictor.preprocessing.std == pytest.approx((58.395, 57.12, 57.375))
    said = "\n".join(record.notes)
    for words in (
        "colour.pth, torchvision's names: 36 tensors",
        "a new head of 5 outputs replaces the file's of 7",
        "the mean and deviation of ImageNet",
        "the file's stem: small-image stem (3×3, full resolution)",
        "grey pictures are repeated to three channels",
    ):
        assert words in said
    assert "torchvision's names" in Path(record.path, "log.txt").read_text()


def test_the_file_decides_the_stem_also_of_a_network_that_was_named(trained, high):
    for name, stem in (("small", AutoStem()), ("large", LargeStem())):
        network = replace(SMALL, stem=stem)
        model = network.build(Ends(inputs=(1, 128, 128), outputs=(5,)))
        save_as(f"{name}.pth", model, "torchvision")
        for asked in (None, replace(SMALL, stem=AutoStem())):
            experiment, _ = compose(high, asked, weights=f"{name}.pth", steps=1)
            assert isinstance(experiment.network, ResNet)
            assert experiment.network.stem == LargeStem()


def test_vectors_are_fine_tuned_from_our_own_card():
    x, y = load_digits(return_X_y=True)
    np.savez("ten.npz", x=x, y=y)
    np.savez("two.npz", x=x, y=y % 2)
    base = skipwise.train("ten.npz", epochs=4, out="ten", quiet=True)
    tuned = skipwise.train("two.npz", weights=base.path, freeze=2, epochs=2, quiet=True)
    assert "a new head of 2 outputs replaces the file's of 10" in tuned.notes
    assert tuned.test is not None
    assert tuned.test.metrics["accuracy"] > 0.85
    means = [skipwise.load(run).preprocessing.mean for run in (base, tuned)]
    assert means[0] == means[1]


def test_inputs_in_other_units_than_those_of_the_file_are_noticed(trained):
    x, y = load_digits(return_X_y=True)
    np.savez("unit.npz", x=x.reshape(-1, 8, 8) / 16, y=y)
    notes = skipwise.train("unit.npz", weights=trained, steps=1, quiet=True).notes
    assert any("times as far: are they in the same units?" in note for note in notes)


def test_what_a_file_holds_beside_the_network_is_left_out_and_said(high):
    model = SMALL.build(Ends(inputs=(1, 8, 8), outputs=(5,)))
    save_as("plain.pth", model, "torchvision")
    state = torch.load("plain.pth", weights_only=True)
    state = {k.replace("fc.", "fc.0."): v for k, v in state.items()}
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, "more.pth")
    notes = skipwise.train(high, weights="more.pth", steps=1, quiet=True).notes
    assert "a new head of 5 outputs replaces none in the file" in notes
    assert "left out of the file: fc.0.weight, fc.0.bias" in notes


def test_what_does_not_fit_is_refused_with_the_first_tensor_that_differs(trained, high):
    deeper, wider = replace(SMALL, blocks=(2, 1)), replace(SMALL, width=4)
    for network, told in (
        (wider, r"stem\.conv\.weight has shape \(8, 1, 3, 3\), the network needs \(4, 1, 3, 3\)"),
        (deeper, r"trunk\.blocks\.1\.branch\.conv1\.weight has shape .16, 8.* needs \(8, 8, 3, 3"),
        (
            replace(SMALL, blocks=(1,)),
            r"has trunk\.blocks\.1.*, for which the network has no place",
        ),
        (resnet56(), r"stem\.conv\.weight has shape"),
        (skipwise.networks.mlp(), "mlp reads and gives vectors"),
    ):
        with pytest.raises(ValueError, match=told):
            skipwise.train(high, network, weights=trained, steps=1, quiet=True)
    assert not Path("runs").exists()


def test_wrong_settings_of_fine_tuning_are_one_sentence(trained, high):
    colour = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez("colour.npz", x=colour, y=np.arange(20) % 2)
    slow = replace(skipwise.momentum(), layer_decay=0.5)
    own = skipwise.train(high, own_convolution, steps=1, out="own", quiet=True).path
    for words, told in (
        ({"freeze": 3, "weights": trained}, "the network has 2 blocks, and freeze=3 asks for more"),
        ({"freeze": -1}, "freeze must be a number of blocks, .* got -1"),
        ({"freeze": "stem"}, "or 'trunk' for all but the head; got 'stem'"),
        ({"freeze": "trunk"}, "freeze keeps parts of what a file of weights gives, and none is"),
        (
            {"freeze": 1, "network": own_convolution, "weights": own},
            r"freeze counts blocks.*\(Sequential\) is not made of",
        ),
        ({"strategy": slow, "network": own_network}, "strategy.layer_decay counts blocks"),
        ({"data": "colour.npz", "weights": trained}, "reads grey pictures, colour has colours"),
    ):
        with pytest.raises(ValueError, match=told):
            skipwise.train(**{"data": high, "steps": 1, "quiet": True, **words})
    for layer_decay in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"layer_decay must lie in \(0, 1\], got"):
            replace(slow, layer_decay=layer_decay)
    assert not Path("runs").exists()


def test_the_last_linear_map_of_a_users_own_network_is_its_head(high):
    base = skipwise.train("digits", own_convolution, steps=3, quiet=True)
    tuned = skipwise.train(high, own_convolution, weights=base.path, steps=1, quiet=True)
    assert "a new head of 5 outputs replaces the file's of 10" in tuned.notes


def own_convolution(channels: int, classes: int) -> torch.nn.Module:
    first = torch.nn.Conv2d(channels, 8, 3)
    return torch.nn.Sequential(first, torch.nn.Flatten(), torch.nn.Linear(288, classes))


def own_network(inputs: tuple[int, ...], classes: int) -> torch.nn.Module:
    return torch.nn.Linear(inputs[-1], classes)


def heights(name: str, mean: float, std: float) -> Arrays:
    """Write pictures in bytes whose brightness tells a number."""
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (120, 8, 8, 3))
    y = x.mean((1, 2, 3))
    y = mean + std * (y - y.mean()) / y.std()
    np.savez(name, x=x.astype(np.uint8), y=y.astype(np.float32))
    return Arrays(path=name)


def test_a_head_that_is_kept_gives_numbers_in_the_units_of_its_training():
    small = replace(SMALL, width=4)
    data = heights("a.npz", 200.0, 50.0)
    run = skipwise.train(data, small, steps=60, out="a", quiet=True, report=False)
    before = skipwise.load(run).outputs(np.load("a.npz")["x"].transpose(0, 3, 1, 2))
    experiment, data = compose(heights("b.npz", 300.0, 20.0), weights="a", steps=1)
    built, _ = build(experiment, data)
    inputs = torch.from_numpy(np.load("b.npz")["x"].transpose(0, 3, 1, 2).copy())
    used = experiment.preprocessing
    assert used is not None
    with torch.no_grad():
        after = used.unscaled(built.model.eval()(used(inputs)))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-2)


def test_errors_of_a_regression_on_others_weights_are_in_its_units():
    model = replace(SMALL, width=4).build(Ends(inputs=(3, 8, 8), outputs=(7,)))
    save_as("theirs.pth", model, "torchvision")
    data = heights("b.npz", 300.0, 20.0)
    run = skipwise.train(data, weights="theirs.pth", steps=30, out="b", quiet=True, report=False)
    test = data.load().test
    assert test is not None
    assert run.test is not None
    inputs, targets = test.gather(torch.arange(len(test)))
    error = (skipwise.load(run).outputs(inputs) - targets).square().mean().sqrt()
    assert run.test.metrics["rmse"] == pytest.approx(float(error), rel=1e-3)
    assert float(error) < 60
