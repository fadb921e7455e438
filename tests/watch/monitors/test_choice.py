"""What a user writes after --watch."""

import re

import pytest

from skipwise.watch.monitors import Choice, choices


def test_names_and_options_are_read():
    assert choices("gradients, curvature:every=500:top:examples=64") == (
        Choice(name="gradients"),
        Choice(name="curvature", every=500, examples=64, top=True),
    )
    assert choices("") == choices(" ") == ()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("gradient", "there is no monitor 'gradient'; did you mean 'gradients'?"),
        ("weights", "there is no monitor 'weights'"),
        ("gradients,", "there is no monitor ''"),
        ("gradients:every=0", "every must be a whole number of at least 1, got '0'"),
        ("gradients:every=-5", "every must be a whole number of at least 1, got '-5'"),
        ("gradients:every=1.5", "got '1.5'; write gradients:every=500"),
        ("gradients:every", "every must be a whole number of at least 1, got ''"),
        ("gradients:evry=5", "gradients has no option 'evry'; did you mean 'every'?"),
        ("gradients:top", "gradients has no option 'top'"),
        ("updates:examples=5", "updates has no option 'examples'"),
        ("curvature:top=2", "top takes no value, got '2'; write curvature:top"),
        ("units,units:every=5", "--watch names units twice"),
        ("units:every=5:every=6", "units has the option every twice"),
    ],
)
def test_wrong_words_are_one_sentence(words: str, told: str):
    with pytest.raises(ValueError, match=re.escape(told)):
        choices(words)
