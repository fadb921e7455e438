"""Recipes by name: complete experiments, which come back from the disk and may be changed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from skipwise.cli.words import find_network, known_recipes
from skipwise.data import AlternatingFlip, Cutout, Digits, PadCrop, Views
from skipwise.description import from_plain, read_described, read_yaml, to_plain, write_yaml
from skipwise.experiment import Experiment
from skipwise.recipes import cifar10
from skipwise.strategies import EMA
from tests.cli.commands import call, fails


@pytest.mark.parametrize("name", known_recipes())
def test_a_recipe_survives_the_disk(name: str):
    made = known_recipes()[name](Digits())
    assert from_plain(to_plain(made)) == from_plain(read_yaml(write_yaml(made), "file")) == made


@pytest.mark.parametrize("name", known_recipes())
def test_the_network_of_a_recipe_is_one_that_can_be_named(name: str):
    network = known_recipes()[name](Digits()).network
    assert find_network(network.name) == network


def test_a_run_by_a_recipe_has_all_of_it_but_what_else_is_given(capsys, rings: str):
    words = "--recipe cifar10 --steps 2 --batch-size 32 --set network.width=4 --out run --quiet"
    code, _, err = call(capsys, "train", rings, *words.split())
    assert code == 0, err
    written = read_described(Path("run/experiment.yaml"), Experiment)
    assert written.augmentation == (PadCrop(border="reflect"), AlternatingFlip(), Cutout())
    assert (written.strategy.averaging, written.strategy.label_smoothing) == (EMA(), 0.1)
    assert written.views == Views(shift=1)
    recipe = cifar10(written.data)
    narrow = replace(recipe.network, width=4)  # pyright: ignore[reportArgumentType]
    assert written == replace(recipe, epochs=None, steps=2, batch_size=32, network=narrow)


def test_recipes_are_listed_with_what_they_are(capsys):
    listed = json.loads(call(capsys, "list", "recipes", "--json")[1])
    assert set(listed) == {"fashion-mnist", "cifar10", "eurosat"}
    assert listed["cifar10"] == "Small colour pictures: a ResNet-10 of width 32, 24 epochs."


def test_wrong_recipes_are_one_sentence(capsys, rings: str):
    told = fails(capsys, "train", rings, "--recipe", "cifar11")
    assert "there is no recipe 'cifar11'; did you mean 'cifar10'?" in told
    Path("own.yaml").write_text(write_yaml(cifar10(Digits())))
    told = fails(capsys, "train", "own.yaml", "--recipe", "cifar10")
    assert "own.yaml is an experiment of its own; leave --recipe out" in told
    assert not Path("runs").exists()
