"""The arms in their order: every run, and the interquartile mean with its interval."""

import math

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.scores import scores_of
from skipwise.comparison.study import StudyRecord
from skipwise.comparison.tables import arms_sheet
from skipwise.reports.chart import Chart, Table, figure, plain
from skipwise.reports.study.look import networks, on, rows_axis, score_axis, style


def rankings(record: StudyRecord, comparison: Comparison) -> list[Chart]:
    """Give the chart of each network that has a run."""
    found = [
        _ranking(record, comparison, n, network)
        for n, network in enumerate(networks(record.design))
    ]
    return [chart for chart in found if chart is not None]


def _ranking(record: StudyRecord, comparison: Comparison, n: int, network: str) -> Chart | None:
    design = record.design
    arms = [arm for arm in comparison.arms if arm.network == network and arm.runs]
    if not arms:
        return None
    traces = []
    for row, arm in enumerate(arms):
        look = style(design, arm.method)
        scores = list(scores_of(record, arm.arm).values())
        runs = {
            "type": "scatter", "mode": "markers", "name": f"{arm.method}: runs",
            "x": plain(scores), "y": [row + 0.16] * len(scores), "showlegend": False,
            "marker": {"color": look["colour"], "size": 6, "opacity": 0.45},
            "hovertemplate": "%{x}",
        }  # fmt: skip
        middle = arm.interquartile_mean
        known = math.isfinite(arm.low)
        mean = {
            "type": "scatter", "mode": "markers", "name": arm.method, "showlegend": False,
            "x": plain([middle]), "y": [row - 0.08],
            "marker": {"color": look["colour"], "size": 11, **look["marker"]},
            "error_x": {
                "type": "data", "symmetric": False, "visible": known, "color": look["colour"],
                "array": plain([arm.high - middle]), "arrayminus": plain([middle - arm.low]),
            },
        }  # fmt: skip
        traces += [runs, mean]
    sheet = arms_sheet(comparison)
    names = {arm.arm for arm in arms}
    rows = [row for row in sheet.rows if row[0] in names]
    return Chart(
        name=f"ranking-{n}",
        title=f"{design.metric.capitalize()} by arm{on(comparison, network)}",
        words=(
            "Large: the interquartile mean of the runs, with its approximate 95 % interval."
            " Small: every run; one that diverged stands at the worst score."
        ),
        figure=figure(
            traces,
            design.metric,
            "",
            xaxis=score_axis(design),
            yaxis=rows_axis([arm.method for arm in arms]),
        ),
        table=Table(caption=f"{sheet.caption}.", columns=sheet.columns, rows=rows),
        height=100 + 56 * len(arms),
    )
