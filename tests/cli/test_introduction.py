"""What a training says of its data before it begins."""

from pathlib import Path

from tests.cli.commands import SMALL, call
from tests.references import paint

LOUD = [word for word in SMALL if word != "--quiet"]


def test_classes_of_very_different_size_are_said_with_their_numbers(capsys):
    for name, count in (("owl", 5), ("cat", 30), ("dog", 20)):
        for n in range(count):
            paint(Path("set", name, f"{n}.png"), (n, len(name), ord(name[0])))
    words = ("train", "set", "--steps", "1", *LOUD)
    told = call(capsys, *words)[2]
    # Held out: 6 and 1 for the test, 2 and 1 for validation.
    assert "3 classes (from 3 training examples of owl to 22 of cat; see --class-weights), " in told
    told = call(capsys, *words, "--class-weights")[2]
    assert "3 classes (from 3 training examples of owl to 22 of cat), " in told
    for n in range(5, 15):
        paint(Path("set", "owl", f"{n}.png"), (n, 3, 111))
    assert "set: classification, 3 classes, examples" in call(capsys, *words)[2]
