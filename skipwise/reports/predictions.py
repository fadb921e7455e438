"""What the network says: confusions, classes one by one, the most confident mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skipwise.records import EvaluationRecord, Mistake, PartEvidence
from skipwise.reports.chart import HEAT, HELD, Chart, Table, evenly, figure, if_left_out, plain
from skipwise.reports.reading import Reading
from skipwise.reports.statistics import wilson
from skipwise.reports.words import number, percent

READABLE = 20  # classes whose counts fit into the cells of a matrix
LARGEST = 120  # classes that a matrix can show at all
FREQUENT = 40  # mistakes in a table
SHOWN = 40  # classes in the chart of classes
LISTED = 1_000  # classes in their table


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A mistake as the page shows it; ``picture`` is a PNG or JPEG in base64, or empty."""

    picture: str
    words: str
    where: str

    @property
    def format(self) -> str:
        """Name the picture's format, by its first bytes."""
        return "jpeg" if self.picture.startswith("/9j/") else "png"


def confusion(run: Reading, part: str) -> Chart | None:
    """Give the confusion matrix of a part, each row as shares of its class."""
    behind = run.behind(part)
    if behind is None or not behind.confusion:
        return None
    names = _names(run, behind)
    if len(names) > LARGEST:
        return None
    counts = np.zeros((len(names), len(names)), dtype=int)
    for truth, said, count in behind.confusion:
        counts[truth, said] = count
    pairs = _pairs(behind)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    heat = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": shares.round(4).tolist(),
        "zmin": 0,
        "zmax": 1,
        "customdata": counts.tolist(),
        "hovertemplate": "%{y} taken for %{x}: %{customdata} (%{z:.1%})<extra></extra>",
        "colorscale": HEAT,
        "colorbar": {"tickformat": ".0%", "thickness": 12},
        "xgap": 1,
        "ygap": 1,
    }
    is_small = len(names) <= READABLE
    if is_small:
        heat |= {"text": [[str(c or "") for c in row] for row in counts.tolist()]}
        heat |= {"texttemplate": "%{text}"}
    axis = {"type": "category", "automargin": True}
    return Chart(
        name="confusion",
        title="Confusion matrix",
        words=f"The {part} part, {behind.examples:,} examples. {_commonest(pairs, counts, names)}",
        figure=figure(
            [heat],
            "said",
            "is",
            xaxis=axis,
            yaxis={**axis, "autorange": "reversed"},
        ),
        table=_confusion_table(counts, names) if is_small else _frequent(pairs, names),
        is_summary=not is_small,
        height=min(max(220 + 26 * len(names), 340), 620),
    )


def frequent_mistakes(run: Reading, part: str) -> Table | None:
    """Give the pairs of classes that were mistaken most often; None without any."""
    behind = run.behind(part)
    pairs = [] if behind is None else _pairs(behind)
    return _frequent(pairs, _names(run, behind)) if behind is not None and pairs else None


def _names(run: Reading, behind: PartEvidence) -> list[str]:
    return run.classes(1 + max(max(truth, said) for truth, said, _ in behind.confusion))


def _pairs(behind: PartEvidence) -> list[tuple[int, int, int]]:
    """Give (count, truth, said) of every mistake, the most frequent first."""
    found = [(n, truth, said) for truth, said, n in behind.confusion if truth != said and n]
    return sorted(found, key=lambda pair: (-pair[0], pair[1:]))


def _commonest(
    pairs: Sequence[tuple[int, int, int]], counts: np.ndarray, names: Sequence[str]
) -> str:
    if not pairs:
        return "No example was taken for another class."
    count, truth, said = pairs[0]
    return (
        f"Rows are what an example is, columns what it was taken for; colour is the share of its"
        f" row. The most frequent mistake: {names[truth]!r} taken for {names[said]!r},"
        f" {count} of {counts[truth].sum():,}."
    )


def _confusion_table(counts: np.ndarray, names: Sequence[str]) -> Table:
    rows = [[name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True)]
    return Table(
        caption="Rows: what it is. Columns: what it was taken for.",
        columns=["is", *names],
        rows=rows,
    )


def _frequent(pairs: Sequence[tuple[int, int, int]], names: Sequence[str]) -> Table:
    rows = [[names[a], names[b], str(count)] for count, a, b in pairs[:FREQUENT]]
    return Table(
        caption="The most frequent mistakes.", columns=["is", "taken for", "examples"], rows=rows
    )


def classes(run: Reading, record: EvaluationRecord) -> Chart | None:
    """Give recall by class with its interval, and the table of all metrics by class."""
    behind = run.behind(record.part)
    columns = record.per_class or (behind.per_class if behind is not None else {})
    if not columns:
        return None
    names = run.classes(len(columns["recall"]))
    recalls, sizes = columns["recall"], columns["examples"]
    bounds = [
        wilson(recall * size, int(size)) if size else (0.0, 1.0)
        for recall, size in zip(recalls, sizes, strict=True)
    ]
    known = [n for n in range(len(names)) if sizes[n]]
    if not known:
        return None
    shown = sorted(known, key=lambda n: recalls[n])[:SHOWN]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "y": [names[n] for n in shown],
        "x": plain([recalls[n] for n in shown]),
        "marker": {"color": HELD, "size": 9},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain([bounds[n][1] - recalls[n] for n in shown]),
            "arrayminus": plain([recalls[n] - bounds[n][0] for n in shown]),
            "color": HELD,
            "thickness": 1.5,
        },
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    return Chart(
        name="classes",
        title="Class by class",
        words=(
            "Recall, the share of a class that was found, with its 95 % interval; the least first."
            f" Lowest: {names[shown[0]]!r}, {percent(recalls[shown[0]])} of {sizes[shown[0]]:.0f}."
            f"{_not_shown(len(names), len(known))}"
        ),
        figure=figure(
            [dots],
            "recall",
            "",
            xaxis={"tickformat": ".0%", "range": [-0.02, 1.02]},
            yaxis={"type": "category", "automargin": True, "autorange": "reversed"},
        ),
        table=_class_table(names, columns, bounds),
        height=min(max(130 + 24 * len(shown), 240), 760),
    )


def _not_shown(count: int, known: int) -> str:
    """Say which classes the chart leaves out, if any."""
    table = "all" if count <= LISTED else f"{LISTED:,}, evenly spread"
    words = f" Of {known:,} classes the {SHOWN} lowest are shown; the table has {table}."
    empty = count - known
    without = "1 class" if empty == 1 else f"{empty:,} classes"
    return (words if known > SHOWN else "") + (
        f" Without examples, and left out: {without}." if empty else ""
    )


def _class_table(
    names: Sequence[str],
    columns: Mapping[str, Sequence[float]],
    bounds: Sequence[tuple[float, float]],
) -> Table:
    heads = ["class", "precision", "recall", "recall, 95 %", "F1", "examples"]
    shown = evenly(range(len(names)), LISTED)
    rows = [
        [
            names[n],
            percent(columns["precision"][n]),
            percent(columns["recall"][n]),
            f"{percent(bounds[n][0])} … {percent(bounds[n][1])}",
            number(columns["f1"][n]),
            f"{int(columns['examples'][n]):,}",
        ]
        for n in shown
    ]
    cut = if_left_out(len(names), len(shown), "classes")
    return Table(caption=f"Metrics of each class.{cut}", columns=heads, rows=rows)


def mistakes(run: Reading, behind: PartEvidence, part: str) -> list[Picture]:
    """Give the most confident mistakes of a part with their pictures and words."""
    names = run.classes(1 + max((max(m.truth, m.said) for m in behind.mistakes), default=0))
    return [
        Picture(
            picture=m.picture,
            words=(
                f"said {names[m.said]} ({percent(m.probability)}),"
                f" is {names[m.truth]} ({percent(m.probability_of_truth)})"
            ),
            where=_where(m, part),
        )
        for m in behind.mistakes
    ]


def _where(mistake: Mistake, part: str) -> str:
    """Name an example: by its file, else by its numbers in its part and in its array."""
    if mistake.name and not mistake.name.isdigit():
        return f"{mistake.name} ({part})"
    is_another = mistake.name not in ("", str(mistake.index))
    number = f", number {mistake.name} of its array" if is_another else ""
    return f"{part} example {mistake.index}{number}"
