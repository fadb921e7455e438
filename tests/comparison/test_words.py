"""Sentences and tables say what the numbers say."""

import csv
import io
import json
import math

import numpy as np
import pytest

from skipwise.comparison import (
    arms_as_csv,
    as_csv,
    as_json,
    as_latex,
    as_markdown,
    compare,
    conclusion,
    headline,
    means_sheet,
    runs_as_csv,
    sheets,
)
from skipwise.comparison.tables import Sheet, pairs_sheet
from skipwise.comparison.words import Unit
from tests.comparison.planted import design, study, two, whole
from tests.comparison.test_pairs import BASE, GAPS

NOISE = np.array([0.004, -0.003, 0.006, -0.001, 0.003, -0.004, 0.005, -0.002])


def first(record) -> str:
    found = compare(record)
    return next(text for text in conclusion(found) if text.startswith("On "))


def test_a_difference_in_words():
    pair = compare(two(BASE + GAPS, BASE)).pairs[0]
    low, high = (f"{100 * end:.2f}" for end in (pair.low, pair.high))
    assert first(two(BASE + GAPS, BASE)) == (
        "On fashion-mnist with resnet20, momentum is better than sgd by 0.80 points"
        f" (95 % interval {low} to {high}, 8 pairs, p 0.0078)."
    )
    assert "sgd, momentum" not in first(two(BASE, BASE + GAPS))
    assert "momentum is worse than sgd by 0.80 points" in first(two(BASE, BASE + GAPS))


def test_a_difference_that_does_not_matter_is_called_so():
    assert first(two(BASE + GAPS, BASE, margin=0.02)).endswith(
        ", which is less than the 2.00 points that matter."
    )


def test_two_networks_share_their_strategy_in_words():
    plan = design(
        ["sgd"], networks=("resnet20", "plain20"), family=(("resnet20/sgd", "plain20/sgd"),)
    )
    text = first(study(plan, {"resnet20/sgd": BASE + GAPS, "plain20/sgd": BASE}))
    assert text.startswith("On fashion-mnist with sgd, resnet20 is better than plain20 by")


def test_an_open_question_says_what_could_have_been_seen():
    pair = compare(two(BASE + NOISE, BASE)).pairs[0]
    text = first(two(BASE + NOISE, BASE))
    assert "it is open whether momentum is better than sgd: the difference is 0." in text
    assert f"true difference of {100 * pair.smallest_seen:.2f} points or more" in text
    assert f"about {pair.further_seeds} further seeds would decide it" in text
    assert "better than sgd by" not in text


def test_too_few_seeds_are_inconclusive_by_design():
    record = two(BASE[:5] + GAPS[:5], BASE[:5], seeds=range(5))
    said = conclusion(compare(record))
    assert said[0].startswith("With 5 seeds no verdict is possible")
    assert "5 pairs give no 95 % interval" in said[1]
    assert "5 pairs cannot show any difference, however large." in said[1]


def test_one_of_anything_is_singular():
    broken = BASE + GAPS
    broken[0] = math.nan
    said = " ".join(conclusion(compare(two(broken, BASE))))
    assert "1 of 8 runs of resnet20/momentum diverged and counts as" in said
    broken[1] = math.nan
    said = " ".join(conclusion(compare(two(broken, BASE))))
    assert "2 of 8 runs of resnet20/momentum diverged and count as" in said
    assert "1 pair cannot" in first(two(BASE[:1], BASE[:1] + 0.1, seeds=(0,)))


def test_a_run_that_diverged_counts_by_the_networks_that_are_compared():
    arms = ("resnet20/sgd", "resnet20/adam", "plain20/sgd")
    family = tuple((arms[0], other) for other in arms[1:])
    plan = design(["sgd", "adam"], networks=("resnet20", "plain20"), family=family, percent=False)
    first, *others = (BASE + level for level in (0.0, 0.1, -5.0))
    first[0] = math.nan
    found = compare(study(plan, dict(zip(arms, (first, *others), strict=True))))
    within, joint = (Unit(plan).score(pair.worst) for pair in found.pairs)
    assert within != joint
    said = " ".join(conclusion(found))
    assert f"counts as {within} within resnet20, as {joint} beside plain20, worse than" in said


def test_equivalence_in_words():
    text = first(two(BASE + NOISE / 10, BASE, margin=0.002))
    assert "momentum and sgd are equivalent within ±0.200 points: the difference is 0.0" in text


def test_an_interval_without_0_is_no_verdict_in_a_family():
    names = ["sgd", *"abcdef"]
    family = tuple((f"resnet20/{name}", "resnet20/sgd") for name in names[1:])
    scores = {f"resnet20/{name}": BASE + NOISE for name in names}
    scores["resnet20/sgd"] = BASE
    scores["resnet20/a"] = BASE + GAPS * np.array([1, 1, 1, 1, 1, 1, -0.9, 1])
    text = first(study(design(names, family=family), scores))
    assert "The interval leaves out 0, but it is not corrected for the other comparisons." in text


def test_an_unfinished_study_gives_no_verdict_in_words():
    found = compare(two(BASE[:7], BASE))
    assert headline(found) == "1 comparison of 1 not finished yet"
    assert first(two(BASE[:7], BASE)).endswith("7 of 8 pairs done, so there is no verdict yet.")


def test_the_headline_counts_verdicts():
    assert headline(compare(whole())) == (
        "2 of 4 comparisons show a difference, 2 are inconclusive"
    )
    assert headline(compare(two(BASE + GAPS, BASE))) == "1 of 1 comparison shows a difference"


def test_skewed_differences_are_said_where_estimate_and_interval_part():
    skewed = 0.001 * np.arange(30) / 30
    skewed[:8] = 0.4
    record = two(0.5 + skewed, np.full(30, 0.5), seeds=range(30))
    pair = compare(record).pairs[0]
    assert pair.advantage < pair.low
    assert "are skewed: their mean is 1" in " ".join(conclusion(compare(record)))
    assert "are skewed" not in " ".join(conclusion(compare(two(BASE + GAPS, BASE))))


def test_tables_have_a_row_for_each_and_every_cell():
    found = compare(whole())
    for sheet in sheets(found):
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}
    assert [len(sheet.rows) for sheet in sheets(found)] == [6, 4, 5, 18, 6]
    assert "".join(map(as_latex, sheets(found))).isascii()  # or pdflatex stops


def test_markdown_and_latex_hold_the_same_cells():
    sheet = Sheet(caption="A & B", columns=["arm", "p"], rows=[["a_b|c", "< 0.01"], ["d", "−1 %"]])
    assert as_markdown(sheet) == (
        "A & B.\n\n| arm | p |\n| :--- | ---: |\n| a_b\\|c | < 0.01 |\n| d | −1 % |\n"
    )
    latex = as_latex(sheet)
    assert "\\caption{A \\& B.}" in latex
    assert "a\\_b|c & $<$ 0.01 \\\\\nd & $-$1 \\% \\\\\n\\bottomrule" in latex
    assert "\\begin{tabular}{lr}" in latex


def test_csv_holds_every_digit():
    found = compare(whole())
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(rows) == 6 * 5 / 2
    for row, pair in zip(rows, (*found.pairs, *found.others), strict=True):
        assert float(row["advantage"]) == pair.advantage
        assert row["verdict"] == pair.verdict


def test_tables_of_runs_and_arms_hold_every_digit_and_say_what_diverged():
    record, found = whole(), compare(whole())
    runs = list(csv.DictReader(io.StringIO(runs_as_csv(record))))
    assert list(runs[0]) == "arm network strategy seed score steps seconds state".split()
    assert len(runs) == 6 * 8
    by_arm = {arm.name: [r for r in runs if r["arm"] == arm.name] for arm in record.design.arms}
    lost = [r for r in runs if r["state"] == "diverged"]
    assert [(r["arm"], r["seed"], r["score"]) for r in lost] == [("plain20/adam", "3", "")]
    rows = list(csv.DictReader(io.StringIO(arms_as_csv(found))))
    assert [row["arm"] for row in rows] == [arm.arm for arm in found.arms]
    for row in rows:
        if row["arm"] == "plain20/adam":
            assert (row["n"], row["diverged"]) == ("8", "1")
            continue
        scores = np.array([float(r["score"]) for r in by_arm[row["arm"]]])
        assert float(row["mean"]) == pytest.approx(scores.mean(), rel=1e-12)
        assert float(row["sd"]) == pytest.approx(scores.std(ddof=1), rel=1e-12)
        assert float(row["interquartile_mean"]) == pytest.approx(np.sort(scores)[2:6].mean())
        assert float(row["interquartile_low"]) < float(row["interquartile_high"])
    unfinished = runs_as_csv(two(BASE[:7], BASE))
    assert [line for line in unfinished.splitlines() if line.endswith(",missing")] == [
        "resnet20/momentum,resnet20,momentum,7,,,,missing"
    ]


def test_a_narrow_table_has_networks_and_strategies_with_mean_and_deviation():
    sheet = means_sheet(compare(two(BASE + GAPS, BASE)))
    assert sheet.columns == ["strategy", "resnet20"]
    for row, scores in zip(sheet.rows, (BASE, BASE + GAPS), strict=True):
        mean, spread = 100 * scores.mean(), 100 * scores.std(ddof=1)
        places = max(1 - math.floor(math.log10(spread)), 0)
        assert row[1] == f"{mean:.{places}f} ± {spread:.{places}f}"
    assert [row[0] for row in sheet.rows] == ["sgd", "momentum"]
    latex = as_latex(sheet)
    assert "\\label{tab:fashion-mnist-means}\n\\begin{tabular}{lr}" in latex
    said = r"accuracy in \% on fashion-mnist, mean $\pm$ standard deviation over 8 seeds"
    assert said in latex
    wide = means_sheet(compare(whole()))
    assert (wide.columns, len(wide.rows)) == (["strategy", "plain20", "resnet20"], 3)
    assert wide.caption.endswith("a run that diverged counts as the worst")


def test_json_is_json_and_holds_all():
    found = compare(whole())
    plain = json.loads(as_json(found), parse_constant=lambda word: pytest.fail(word))
    assert plain["conclusion"] == conclusion(found)
    assert plain["pairs"][0]["holm_p"] == found.pairs[0].holm_p
    assert plain["design"]["family"][0] == ["plain20/momentum", "plain20/sgd"]


def test_a_table_of_pairs_writes_verdict_and_interval():
    sheet = pairs_sheet(compare(two(BASE + GAPS, BASE)))
    row = dict(zip(sheet.columns, sheet.rows[0], strict=True))
    assert row["verdict"] == "better"
    assert row["advantage in points"] == "0.80"
    assert row["Holm p"] == "0.0078"
