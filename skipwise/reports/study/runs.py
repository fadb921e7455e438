"""What was set, what happened in the runs, and the runs themselves, each one click away."""

import math
from pathlib import Path
from urllib.parse import quote

import numpy as np

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.study import ArmRun, Design, StudyRecord
from skipwise.comparison.tables import amount
from skipwise.comparison.words import Unit
from skipwise.files import REPORT
from skipwise.reports.chart import Chart, Link, Table, axis_of, figure, line
from skipwise.reports.study.look import arms_of, networks, on, style
from skipwise.reports.words import counted, duration, number


def settings(design: Design) -> tuple[Table, ...]:
    """Give what all arms share, and the arms."""
    unit, margin, target = Unit(design), design.margin, design.target
    tuned = {name: value for name, value in design.facts.items() if name.startswith("tuned: ")}
    found = [[name.removeprefix("tuned: "), str(value)] for name, value in tuned.items()]
    rows = [
        ["data", design.data],
        ["score", f"{design.metric}, {'lower' if design.lower_is_better else 'higher'} is better"],
        ["seeds", ", ".join(str(seed) for seed in design.seeds)],
        ["level of the family", f"{design.level:g}"],
        ["margin", "none" if margin is None else unit.points(margin, margin)],
        ["target", "none" if target is None else unit.score(target, target / 10)],
        *([name, str(value)] for name, value in design.facts.items() if name not in tuned),
    ]
    family = [[first, second] for first, second in design.family]
    arms = [
        [
            arm.name,
            arm.network,
            arm.strategy,
            ", ".join(f"{k} {v}" for k, v in arm.settings.items()),
        ]
        for arm in design.arms
    ]
    return (
        Table(caption="Declared before training.", columns=["what", "value"], rows=rows),
        *([Table(caption="Found by tuning.", columns=["arm", "value"], rows=found)] * bool(found)),
        Table(caption="The arms.", columns=["arm", "network", "strategy", "set apart"], rows=arms),
        Table(caption="The family of comparisons.", columns=["first", "second"], rows=family),
    )


def counts(comparison: Comparison) -> Table:
    """Give what happened to the gradients of each arm, and what a run cost."""
    rows = [
        [
            arm.arm,
            str(arm.diverged),
            f"{arm.clipped:,}",
            f"{arm.skipped:,}",
            f"{arm.rolled_back:,}",
            amount(arm.steps),
            "–" if math.isnan(arm.seconds) else duration(arm.seconds),
        ]
        for arm in comparison.arms
    ]
    return Table(
        caption="Over all runs of an arm; steps and time are means of a run.",
        columns=["arm", "diverged", "clipped", "skipped", "rolled back", "steps", "time"],
        rows=rows,
    )


def run_table(record: StudyRecord, folder: Path) -> Table:
    """Give every planned run, with a way to its report where there is one.

    Args:
        record: The study.
        folder: Where the page is to lie; the paths of runs are seen from it.
    """
    rows = []
    for arm in record.design.arms:
        runs = record.of(arm.name)
        for seed in record.design.seeds:
            rows.append(_row(record, arm.name, seed, runs.get(seed), folder))
    done = counted(len(record.runs), "run")
    return Table(
        caption=f"{done} of {len(rows):,}.",
        columns=["arm", "seed", "score", "state", "steps", "time", "to the target", "report"],
        rows=rows,
    )


def _row(
    record: StudyRecord, arm: str, seed: int, run: ArmRun | None, folder: Path
) -> list[str | Link]:
    if run is None:
        return [arm, str(seed), "–", "missing", "–", "–", "–", "–"]
    unit, page = Unit(record.design), folder / run.path / REPORT
    reached = math.isfinite(run.seconds_to_target) and not run.failed
    report: str | Link = run.path or "–"
    if run.path and page.is_file():
        report = Link(words=run.path, address=quote(f"{Path(run.path).as_posix()}/{REPORT}"))
    return [
        arm,
        str(seed),
        "–" if run.failed else unit.score(run.score, 0.01),
        "diverged" if run.failed else "finished",
        f"{run.steps:,}",
        "–" if math.isnan(run.seconds) else duration(run.seconds),
        duration(run.seconds_to_target) if reached else "–",
        report,
    ]


def gradient_flow(record: StudyRecord, comparison: Comparison) -> list[Chart]:
    """Give the gradient norm of each layer, the median over the runs of an arm, by network."""
    found = [
        _flow(record, comparison, n, network) for n, network in enumerate(networks(record.design))
    ]
    return [chart for chart in found if chart is not None]


def _flow(record: StudyRecord, comparison: Comparison, n: int, network: str) -> Chart | None:
    flows: dict[str, np.ndarray] = {}
    for arm in arms_of(record.design, network):
        its = [np.array(r.gradient_flow) for r in record.of(arm.name).values() if r.gradient_flow]
        whole = [flow for flow in its if len(flow) == len(its[0])]
        if whole:
            flows[arm.method] = np.median(np.stack(whole), axis=0)
    if not flows:
        return None
    traces = []
    for method, flow in flows.items():
        look = style(record.design, method)
        layers = list(range(1, len(flow) + 1))
        traces.append(line(method, layers, flow.tolist(), look.pop("colour"), dots=True, **look))
    rows = [
        [method, *(number(float(flow[at])) for at in (0, len(flow) // 2, -1)), _ratio(flow)]
        for method, flow in flows.items()
    ]
    return Chart(
        name=f"flow-{n}",
        title=f"Gradient by layer{on(comparison, network)}",
        words=(
            "The gradient norm of each layer from the input on: the median over a run, and of that"
            " the median over the runs."
        ),
        figure=figure(
            traces,
            "layer",
            "gradient norm",
            yaxis=axis_of(*(flow.tolist() for flow in flows.values())),
        ),
        table=Table(
            caption="Gradient norms.",
            columns=["method", "first layer", "middle", "last layer", "first over last"],
            rows=rows,
        ),
    )


def _ratio(flow: np.ndarray) -> str:
    return number(float(flow[0] / flow[-1])) if flow[-1] > 0 else "–"
