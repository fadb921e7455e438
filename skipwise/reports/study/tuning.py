"""What tuning brought, how much the rate matters, and what the parts of a strategy are worth."""

import math
from collections.abc import Sequence

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.pairs import Pair
from skipwise.comparison.tables import ablation_sheet, amount
from skipwise.comparison.tuning import Sensitivity, TuningCurve
from skipwise.comparison.words import Unit
from skipwise.reports.chart import Chart, Table, axis_of, figure, line, plain
from skipwise.reports.study.look import as_table, networks, on, rows_axis, score_axis, style


def tuning_charts(comparison: Comparison) -> list[Chart]:
    """Give, for each network, the best of k trials and the scores over the rate."""
    design, found = comparison.design, []
    for n, network in enumerate(networks(design)):
        curves = [c for c in comparison.tuning if design.arm(c.arm).network == network]
        if any(len(curve.expected) > 1 for curve in curves):
            found.append(_best_of(comparison, n, network, curves))
        rates = [s for s in comparison.sensitivity if design.arm(s.arm).network == network]
        if rates:
            found.append(_over_rates(comparison, n, network, rates))
    return found


def _best_of(comparison: Comparison, n: int, network: str, curves: Sequence[TuningCurve]) -> Chart:
    design, unit, traces = comparison.design, Unit(comparison.design), []
    for curve in curves:
        method = design.arm(curve.arm).method
        look = style(design, method)
        trials = list(range(1, len(curve.expected) + 1))
        traces.append(line(method, trials, curve.expected, look.pop("colour"), dots=True, **look))
    most = max(len(curve.expected) for curve in curves)
    shown = [k for k in (1, 2, 4, 8, 16, 32) if k < most] + [most]
    rows = [
        [
            design.arm(curve.arm).method,
            *(
                unit.score(curve.expected[k - 1], 0.01) if k <= len(curve.expected) else "–"
                for k in shown
            ),
            str(curve.diverged),
            f"{amount(curve.seconds)} s",
        ]
        for curve in curves
    ]
    return Chart(
        name=f"tuning-{n}",
        title=f"What tuning brings{on(comparison, network)}",
        words="The expected best validation score if only so many of the trials are spent.",
        figure=figure(
            traces, "trials", f"validation {design.metric}", yaxis=score_axis(design),
            xaxis={"dtick": 1} if most < 12 else {},
        ),
        table=Table(
            caption="Expected best of so many trials, drawn without putting back.",
            columns=["method", *(str(k) for k in shown), "diverged", "cost of all"],
            rows=rows,
        ),
    )  # fmt: skip


def _over_rates(
    comparison: Comparison, n: int, network: str, found: Sequence[Sensitivity]
) -> Chart:
    design, unit, traces = comparison.design, Unit(comparison.design), []
    for its in found:
        method = design.arm(its.arm).method
        look = style(design, method)
        traces.append(line(method, its.rates, its.scores, look.pop("colour"), dots=True, **look))
    edges = [design.arm(its.arm).method for its in found if its.at_edge]
    words = "Every trial of the tuning; one that diverged has no point."
    if edges:
        words += (
            f" The best is the lowest or the highest rate that was tried for {', '.join(edges)}."
        )
    rows = [
        [
            design.arm(its.arm).method,
            f"{its.best:.3g}",
            unit.score(its.best_score, 0.01),
            f"{its.low:.3g} to {its.high:.3g}",
            f"{its.decades:.1f}",
            "yes" if its.at_edge else "no",
        ]
        for its in found
    ]
    return Chart(
        name=f"rates-{n}",
        title=f"How much the rate matters{on(comparison, network)}",
        words=words,
        figure=figure(
            traces, "rate", f"validation {design.metric}", yaxis=score_axis(design),
            xaxis=axis_of(*(its.rates for its in found)),
        ),
        table=Table(
            caption="Good: the unbroken range of tried rates within 5 % of the best score.",
            columns=["method", "best rate", "its score", "good rates", "decades", "at the edge"],
            rows=rows,
        ),
    )  # fmt: skip


def parts_chart(comparison: Comparison) -> Chart | None:
    """Give the worth of the parts, None if the study is not about parts."""
    if not comparison.ablation:
        return None
    factor = 100 if comparison.design.percent else 1
    traces = []
    for name, colour, symbol, shift in (
        ("beside all others", "var(--first)", "circle", -0.12),
        ("alone", "var(--second)", "square", 0.12),
    ):
        shown: list[tuple[float, Pair]] = []
        for row, worth in enumerate(comparison.ablation):
            pair = worth.beside if name != "alone" else worth.alone
            if pair is not None and pair.pairs:
                shown.append((row + shift, pair))
        known = [factor * (1 if math.isfinite(pair.low) else 0) for _, pair in shown]
        up, down = ("high", "advantage"), ("advantage", "low")
        traces.append({
            "type": "scatter", "mode": "markers", "name": name,
            "x": plain([factor * pair.advantage for _, pair in shown]),
            "y": [place for place, _ in shown],
            "marker": {"color": colour, "symbol": symbol, "size": 11},
            "error_x": {
                "type": "data", "symmetric": False, "color": colour,
                "array": _bars(shown, known, up), "arrayminus": _bars(shown, known, down),
            },
        })  # fmt: skip
    unit = " in points" if comparison.design.percent else ""
    return Chart(
        name="parts",
        title="What each part is worth",
        words="The advantage of having it, beside all other parts and alone, with 95 % intervals.",
        figure=figure(
            traces,
            f"advantage{unit}",
            "",
            yaxis=rows_axis([worth.part for worth in comparison.ablation]),
        ),
        table=as_table(ablation_sheet(comparison)),
        height=120 + 56 * len(comparison.ablation),
    )


def _bars(
    shown: Sequence[tuple[float, Pair]], known: Sequence[float], ends: tuple[str, str]
) -> list[float | None]:
    """Give the lengths of bars from one field to another; none where an end is infinite."""
    return plain([
        factor * max(vars(pair)[ends[0]] - vars(pair)[ends[1]], 0.0) if factor else 0.0
        for factor, (_, pair) in zip(known, shown, strict=True)
    ])
