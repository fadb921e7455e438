"""What a lesson says follows its numbers, for every outcome; its page needs no torch."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skipwise.reports.lesson import lesson_page, lesson_report, sentences, stories
from skipwise.reports.lesson.record import mean_loss, paired
from skipwise.reports.lesson.story import exploding, in_vain, vanishing, with_skip
from tests.lessons.planted import a_profile, a_training, lesson


def test_the_four_stories_are_seen_where_they_were_planted():
    found = stories(lesson())
    assert [story.seen for story in found] == [True] * 4
    said = " ".join(sentences(lesson()))
    assert "Not seen" not in said
    assert "not seen" not in said


def test_a_profile_knows_its_ratio_its_factor_and_its_scatter():
    profile = a_profile("plain", 20, 1.2)
    assert profile.layers == 18
    assert profile.ratio == pytest.approx(1.2**18)
    assert profile.per_layer == pytest.approx(1.2)
    logs = [2 * math.log(scale) for scale in (0.9, 1.0, 1.1)]
    middle = sum(logs) / 3
    assert profile.scatter == pytest.approx(math.sqrt(sum((x - middle) ** 2 for x in logs) / 2))


def test_the_end_loss_is_the_mean_of_the_last_fifth():
    training = a_training("plain", 8, 0, 0.5)
    assert training.end_loss == pytest.approx(0.5)
    assert a_training("plain", 8, 0, math.inf).end_loss == math.inf
    assert mean_loss([training, a_training("plain", 8, 1, 0.5)]) == pytest.approx(0.5025)


def test_seeds_are_paired_and_only_those_that_both_have():
    first = [a_training("plain", 8, seed, 0.5) for seed in (2, 0)]
    second = [a_training("scaled", 8, seed, 0.4) for seed in (0, 1)]
    assert list(paired(first, second)) == [(0.5, 0.4)]


def test_vanishing_is_told_with_its_factor_and_what_training_made_of_it():
    story = vanishing(lesson())
    # 0.25^6 in 8 layers, of which two are stem and head, 0.25^18 in 20.
    assert "2.4·10⁻⁴ in 8 layers, 1.5·10⁻¹¹ in 20 layers" in story.sentences[0]
    assert "a factor of 0.25 for each layer (theory 0.25)" in story.sentences[0]
    assert story.sentences[1] == (
        "At 56 layers the training loss ends at 2.32; guessing gives 2.3."
    )


def test_shattering_is_told_only_of_a_skip_that_keeps_gradients_alike():
    story = in_vain(lesson())
    assert "have the cosine 0.1 (theory 0.1); in residual scaled, 0.6" in story.sentences[2]
    assert "are shattered" in story.sentences[3]
    alike = tuple(replace(each, cosines=(0.2,)) for each in lesson().likenesses)
    assert "was not seen" in in_vain(replace(lesson(), likenesses=alike)).sentences[3]


def test_a_gradient_that_does_not_vanish_is_told_as_not_seen():
    story = vanishing(lesson({"sigmoid": 0.9}))
    assert not story.seen
    assert story.sentences[0].startswith("Not seen in this run: no sigmoid network")
    assert "0.0034 times" in story.sentences[0]


@pytest.mark.parametrize(
    ("factors", "seen", "said"),
    [
        ({}, True, "1.9·10⁴ times as large"),
        ({"plain_norm": 1.01}, True, "the gradient of plain BatchNorm did not explode"),
        ({"plain_norm": 1.01, "unscaled": 1.0}, False, "of residual unscaled did not explode"),
    ],
)
def test_exploding_follows_the_ratios(factors, seen, said):
    story = exploding(lesson(factors))
    assert story.seen == seen
    assert said in " ".join(story.sentences)


def test_trainings_that_diverged_are_counted():
    assert "3 of 3 trainings of these networks diverged." in exploding(lesson()).sentences


@pytest.mark.parametrize(
    ("factors", "losses", "why"),
    [
        ({"plain": 1.3}, {}, "norms were not healthy"),
        ({}, {"plain": (0.1, 0.1, 0.05)}, "depth did not harm every seed"),
    ],
)
def test_health_in_vain_needs_both_healthy_norms_and_worse_training(factors, losses, why):
    story = in_vain(lesson(factors, losses))
    assert not story.seen
    assert f"were not seen in this run, since {why}: in plain" in story.sentences[0]


def test_health_in_vain_compares_with_the_best_shallower_depth():
    said = " ".join(in_vain(lesson()).sentences)
    assert (
        "ends at 1.51, that of 8 layers at 0.101, and the deep one is worse in 3 of 3 seeds" in said
    )
    assert "√(5L/n) = 2.1 for one example, L = 54 layers" in said
    assert "The streams of two different examples have the cosine 0.98 at the end" in said


def test_a_skip_that_does_not_help_is_told_as_such():
    story = with_skip(lesson(losses={"scaled": (1.0, 1.0, 1.6)}))
    assert not story.seen
    said = " ".join(story.sentences)
    assert said.startswith("That the skip trains better than its plain twin was not seen")
    assert "the skip has the lower training loss in 0 of 3 seeds." in said


LEARNS_WORSE = {"scaled": (0.1, 0.2, 0.3)}


def test_deep_networks_that_still_learn_at_the_end_were_trained_too_shortly():
    said = " ".join(with_skip(lesson(losses=LEARNS_WORSE)).sentences)
    words = "deeper is worse in 3 of 3 seeds, but their loss still falls at the end: 20 updates"
    assert f"{words} are too short for depth to pay" in said


def test_deep_networks_that_learn_no_more_are_not_excused():
    told = lesson(losses=LEARNS_WORSE)
    flat = tuple(replace(t, losses=(t.losses[-1],) * 20) for t in told.trainings)
    said = " ".join(with_skip(replace(told, trainings=flat)).sentences)
    assert "too short" not in said
    assert "in 3 of 3 seeds; whether more than 20 updates would turn this was not tried." in said


def test_depth_that_pays_needs_no_excuse():
    said = " ".join(with_skip(lesson()).sentences)
    assert "deeper is worse in 0 of 3 seeds." in said


def test_what_was_left_out_is_said_and_one_depth_is_enough():
    short = lesson(depths=(8,), left_out=("Networks of 20 layers are left out.",))
    assert sentences(short)[-1] == "Networks of 20 layers are left out."
    assert not in_vain(short).seen


def test_the_record_is_plain_and_losses_that_are_not_finite_become_null():
    plain = json.loads(json.dumps(lesson().as_plain(), allow_nan=False))
    diverged = next(t for t in plain["trainings"] if t["design"] == "unscaled" and t["depth"] == 56)
    assert diverged["losses"][-1] is None


def test_every_design_has_its_charts_and_every_chart_its_table():
    page = lesson_page(lesson())
    charts = [chart for section in page.sections for chart in section.charts]
    assert len({chart.name for chart in charts}) == len(charts) == 16
    assert all(chart.table.rows for chart in charts)
    ratios = next(chart for chart in charts if chart.name == "ratio-by-depth")
    drawn = {trace["name"]: trace["y"] for trace in ratios.figure["data"]}
    assert drawn["plain BatchNorm"] == pytest.approx([1.2**6, 1.2**18, 1.2**54], rel=1e-5)


def test_the_page_is_written_into_a_folder_or_to_a_file(tmp_path: Path):
    assert lesson_report(lesson(), tmp_path) == tmp_path / "depth.html"
    page = lesson_report(lesson(), tmp_path / "other.html").read_text()
    assert "Why depth needs a skip" in page
    assert "arxiv.org/abs/1512.03385" in page


def test_the_page_needs_no_torch():
    code = "import sys, skipwise.reports.lesson; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
