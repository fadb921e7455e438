"""A comparison as tables for papers and as data for programs: Markdown, LaTeX, CSV, JSON."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.pairs import Pair, are_related
from skipwise.comparison.scores import ArmSummary
from skipwise.comparison.study import StudyRecord
from skipwise.comparison.words import Unit, conclusion, counted, headline, p_words
from skipwise.records import finite

MISSING = "–"
CHANGED = "changed in "  # begins a fact of a design: what an arm has other than its name says
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", "±": r"$\pm$", "−": "$-$", "∞": r"$\infty$", "×": r"$\times$",
    "–": "--", "²": r"$^2$", "≈": r"$\approx$", "√": r"$\surd$",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Columns and rows of words; the first column names its row; LaTeX refers to it by a label."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    label: str = ""


def arms_sheet(comparison: Comparison) -> Sheet:
    """Give the arms, best first within each network."""
    design, unit = comparison.design, Unit(comparison.design)
    columns = [
        "arm", "interquartile mean", "≈ 95 %", "mean", "standard deviation", "lowest", "highest",
        "runs", "diverged",
    ]  # fmt: skip
    rows = []
    for arm in comparison.arms:
        spread = arm.deviation
        ends = [unit.score(end, spread) for end in (arm.low, arm.high)]
        rows.append([
            arm.arm,
            unit.score(arm.interquartile_mean, spread),
            MISSING if math.isnan(arm.low) else " to ".join(ends),
            unit.score(arm.mean, spread),
            MISSING if math.isnan(spread) else unit.apart(spread, spread),
            unit.score(arm.least, spread),
            unit.score(arm.most, spread),
            f"{arm.runs} of {arm.runs + arm.missing}" if arm.missing else str(arm.runs),
            str(arm.diverged),
        ])
    changed = [
        f"{name} {words}" for name, words in design.facts.items() if name.startswith(CHANGED)
    ]
    caption = "; ".join([
        f"{design.metric} on {design.data}",
        "the interval of the interquartile mean is by the bootstrap and approximate",
        *changed,
    ])
    return Sheet(caption=caption, columns=columns, rows=rows)


def pairs_sheet(comparison: Comparison, *, family: bool = True) -> Sheet:
    """Give the comparisons of the family with their verdicts, or the other pairs without.

    Of the others only those that share a network or a method, or the table would be too long.
    """
    design = comparison.design
    unit = " in points" if design.percent else ""
    sure = f"{100 * (1 - design.level):g} %"
    columns = [
        "first", "second", f"advantage{unit}", sure, "p", "P(first better)", "correlation",
        "smallest seen", "pairs",
    ]  # fmt: skip
    pairs = comparison.pairs if family else _shown(comparison)
    rows = [_pair_row(comparison, pair) for pair in pairs]
    if family:
        columns[5:5] = ["Holm p"]
        columns[2:2] = ["verdict"]
        for row, pair in zip(rows, pairs, strict=True):
            row[5:5] = [p_words(pair.holm_p)]
            row[2:2] = [pair.verdict]
        caption = "The family declared before training"
    else:
        caption = "Other pairs: not declared, so no verdict"
        left = len(comparison.others) - len(pairs)
        if left:
            caption += f" (the {left} that share neither network nor method are in CSV and JSON)"
    caption += (
        "; the advantage, positive where the first is better, is the Hodges-Lehmann estimate of the"
        " paired differences, which may differ from the difference of the means"
    )
    return Sheet(caption=caption, columns=columns, rows=rows)


def _shown(comparison: Comparison) -> list[Pair]:
    return [p for p in comparison.others if are_related(comparison.design, p.first, p.second)]


def _pair_row(comparison: Comparison, pair: Pair) -> list[str]:
    unit, spread = Unit(comparison.design), pair.high - pair.low
    seen = min(spread, pair.smallest_seen)
    return [
        pair.first,
        pair.second,
        unit.apart(pair.advantage, spread),
        f"{unit.apart(pair.low, spread)} to {unit.apart(pair.high, spread)}",
        p_words(pair.p),
        MISSING if math.isnan(pair.probability) else f"{pair.probability:.2f}",
        MISSING if math.isnan(pair.correlation) else f"{pair.correlation:.2f}".replace("-", "−"),
        unit.apart(pair.smallest_seen, seen),
        str(pair.pairs),
    ]


def times_sheet(comparison: Comparison) -> Sheet:
    """Give the times to the target: median and quartiles over the runs, and the misses."""
    rows = [
        [
            time.arm,
            time.kind,
            amount(time.median),
            f"{amount(time.lower_quartile)} to {amount(time.upper_quartile)}",
            f"{time.misses} of {time.runs}",
        ]
        for time in comparison.times
    ]
    target = comparison.design.target
    words = MISSING if target is None else Unit(comparison.design).score(target, target / 10)
    columns = ["arm", "counted in", "median", "quartiles", "missed"]
    caption = f"To the target of {words}; a run that missed it took infinitely long"
    caption += "; tuning is not counted in" if comparison.tuned else ""
    return Sheet(caption=caption, columns=columns, rows=rows)


def tuning_sheet(comparison: Comparison) -> Sheet:
    """Give what was tried of each arm, what it cost, and what was taken."""
    unit = Unit(comparison.design)
    rows = [
        [
            cost.arm,
            ", ".join(f"{name} {value:.3g}" for name, value in cost.settings.items()) or MISSING,
            unit.score(cost.score, 0.01),
            str(cost.trials),
            str(cost.diverged),
            f"{cost.lengths:.3g} runs",
            f"{amount(cost.seconds)} s",
        ]
        for cost in comparison.tuned
    ]
    columns, how = ["arm", "taken", "its score", "trials", "diverged", "cost", "time"], "tuned"
    if any(cost.stopped for cost in comparison.tuned):
        how = "tuned by halving: within an arm only the better trials went on"
        columns[4:4] = ["halved away"]
        for row, cost in zip(rows, comparison.tuned, strict=True):
            row[4:4] = [", ".join(f"{n} at {share}" for share, n in cost.stopped.items())]
    caption = f"How the arms were {how}; the score is on validation, the cost that of all trials"
    edges = [its.arm for its in comparison.sensitivity if its.at_edge]
    if edges:
        caption += f"; no lower or no higher rate was tried than that of {', '.join(edges)}"
    return Sheet(caption=caption, columns=columns, rows=rows)


def ablation_sheet(comparison: Comparison) -> Sheet:
    """Give the worth of each part: what having it brings beside all others, and alone."""
    unit = Unit(comparison.design)

    def words(pair: Pair | None) -> list[str]:
        if pair is None:
            return [MISSING, MISSING]
        spread = pair.high - pair.low
        ends = f"{unit.apart(pair.low, spread)} to {unit.apart(pair.high, spread)}"
        return [unit.apart(pair.advantage, spread), ends]

    points = " in points" if comparison.design.percent else ""
    return Sheet(
        caption=f"The advantage of having a part{points}; intervals are not corrected",
        columns=["part", "beside all others", "95 %", "alone", "95 % "],
        rows=[[w.part, *words(w.beside), *words(w.alone)] for w in comparison.ablation],
    )


def amount(value: float) -> str:
    """Write a count of steps, seconds or multiplications with about four digits.

    >>> amount(1234.0), amount(2.5e12), amount(float("inf"))
    ('1,234', '2.5e+12', '∞')
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}" if 1000 <= value < 1e7 else f"{value:.4g}"


def sheets(comparison: Comparison, *, others: bool = True) -> list[Sheet]:
    """Give every table that has rows, that of the pairs outside the family only if wanted."""
    found = [
        arms_sheet(comparison),
        pairs_sheet(comparison),
        *([pairs_sheet(comparison, family=False)] if others else []),
        times_sheet(comparison),
        tuning_sheet(comparison),
        ablation_sheet(comparison),
    ]
    return [sheet for sheet in found if sheet.rows]


def as_markdown(sheet: Sheet) -> str:
    """Write a table in Markdown, numbers to the right."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in (sheet.columns, *sheet.rows)]
    ruler = [":---", *["---:"] * (len(sheet.columns) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in (rows[0], ruler, *rows[1:])]
    return f"{sheet.caption}.\n\n" + "\n".join(lines) + "\n"


def means_sheet(comparison: Comparison) -> Sheet:
    """Give networks × strategies, mean ± standard deviation: a table for one column of a paper."""
    design, unit = comparison.design, Unit(comparison.design)
    found = {(arm.network, arm.method): arm for arm in comparison.arms}
    networks = list(dict.fromkeys(arm.network for arm in design.arms))
    methods = list(dict.fromkeys(arm.method for arm in design.arms))
    if len(methods) > len(networks):  # the longer one downwards
        columns = ["strategy", *networks]
        rows = [[m, *(_mean(unit, found.get((n, m))) for n in networks)] for m in methods]
    else:
        columns = ["network", *methods]
        rows = [[n, *(_mean(unit, found.get((n, m))) for m in methods)] for n in networks]
    caption = (
        f"{design.metric}{' in %' if design.percent else ''} on {design.data}, mean ± standard"
        f" deviation over {counted(len(design.seeds), 'seed')}"
    )
    if any(arm.diverged for arm in comparison.arms):
        caption += "; a run that diverged counts as the worst"
    if missing := [f"{a.arm} {a.missing}" for a in comparison.arms if a.missing]:
        caption += f"; runs are missing: {', '.join(missing)}"
    label = re.sub(r"[^a-z0-9]+", "-", f"{design.data}-means".lower()).strip("-")
    return Sheet(caption=caption, columns=columns, rows=rows, label=f"tab:{label}")


def _mean(unit: Unit, arm: ArmSummary | None) -> str:
    if arm is None or math.isnan(arm.mean):
        return MISSING
    mean, spread = (unit.apart(value, arm.deviation) for value in (arm.mean, arm.deviation))
    return mean if math.isnan(arm.deviation) else f"{mean} ± {spread}"


def as_text(comparison: Comparison) -> str:
    """Write the answer for a terminal: the conclusion, and the tables behind it."""
    lines = [headline(comparison), *conclusion(comparison), ""]
    for sheet in sheets(comparison, others=not comparison.ablation):
        lines += [f"{sheet.caption}:", *aligned([sheet.columns, *sheet.rows]), ""]
    return "\n".join(lines)


def aligned(rows: Iterable[Iterable[str]]) -> list[str]:
    """Write rows with their columns below each other, the first to the left.

    >>> aligned([["arm", "mean"], ["sgd", "0.9"]])
    ['arm  mean', 'sgd   0.9']
    """
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def as_html(comparison: Comparison) -> str:
    """Write the answer for a notebook: the same words and tables."""
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in conclusion(comparison))
    found = sheets(comparison, others=not comparison.ablation)
    tables = "".join(map(_html, found))
    return f"<p><strong>{escape(headline(comparison))}</strong></p>{said}{tables}"


def _html(sheet: Sheet) -> str:
    head, *body = (
        "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in row)
        for kind, row in (("th", sheet.columns), *(("td", row) for row in sheet.rows))
    )
    rows = "".join(f"<tr>{row}</tr>" for row in body)
    caption = f"<caption>{escape(sheet.caption)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def as_latex(sheet: Sheet) -> str:
    r"""Write a table in LaTeX, for ``\usepackage{booktabs}``."""
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in (sheet.columns, *sheet.rows)]
    body = "\n".join(lines[1:])
    label = f"\\label{{{sheet.label}}}\n" if sheet.label else ""
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_latex(sheet.caption)}.}}\n{label}"
        f"\\begin{{tabular}}{{l{'r' * (len(sheet.columns) - 1)}}}\n"
        f"\\toprule\n{lines[0]}\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)


def as_csv(comparison: Comparison) -> str:
    """Write all pairs, the family first, with every digit; what is not finite is empty."""
    pairs = (*comparison.pairs, *comparison.others)
    return _csv(list(Pair.__dataclass_fields__), map(asdict, pairs))


def runs_as_csv(record: StudyRecord) -> str:
    """Write every run that was planned, with every digit; one that diverged has no score."""
    columns = ["arm", "network", "strategy", "seed", "score", "steps", "seconds", "state"]
    rows: list[dict[str, Any]] = []
    for arm in record.design.arms:
        runs = record.of(arm.name)
        for seed in record.design.seeds:
            row = {"arm": arm.name, "network": arm.network, "strategy": arm.method, "seed": seed}
            if (run := runs.get(seed)) is None:
                rows.append({**row, "state": "missing"})
                continue
            score = math.nan if run.failed else run.score
            done = {"score": score, "steps": run.steps, "seconds": run.seconds}
            rows.append({**row, **done, "state": "diverged" if run.failed else "finished"})
    return _csv(columns, rows)


def arms_as_csv(comparison: Comparison) -> str:
    """Write the arms with every digit; the interval is that of the interquartile mean."""
    rows = [
        {
            "arm": arm.arm,
            "network": arm.network,
            "strategy": arm.method,
            "n": arm.runs,
            "mean": arm.mean,
            "sd": arm.deviation,
            "interquartile_mean": arm.interquartile_mean,
            "interquartile_low": arm.low,
            "interquartile_high": arm.high,
            "diverged": arm.diverged,
            "missing": arm.missing,
            "steps": arm.steps,
            "seconds": arm.seconds,
        }
        for arm in comparison.arms
    ]
    return _csv(list(rows[0]), rows)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(finite(dict(row)) for row in rows)
    return table.getvalue()


def as_json(comparison: Comparison) -> str:
    """Write everything, with the conclusion in words; null is infinite or not known."""
    words = {"headline": headline(comparison), "conclusion": conclusion(comparison)}
    return json.dumps({**words, **finite(asdict(comparison))}, ensure_ascii=False, indent=1) + "\n"
