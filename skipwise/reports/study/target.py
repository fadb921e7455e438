"""The way to the target: how many runs were there when, and profiles over the networks."""

import numpy as np

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.study import StudyRecord
from skipwise.comparison.tables import amount, times_sheet
from skipwise.comparison.times import LARGEST_RATIO, Profile, time_of
from skipwise.comparison.words import p_words
from skipwise.reports.chart import Chart, Table, figure, line
from skipwise.reports.study.look import arms_of, networks, on, style

SHOWN = {"steps": "steps", "seconds": "seconds", "macs": "multiplications"}


def arrivals(record: StudyRecord, comparison: Comparison) -> list[Chart]:
    """Give, for each network, the share of an arm's runs that were at the target by then."""
    if not comparison.times:
        return []
    found = [
        _arrivals(record, comparison, n, network, kind)
        for n, network in enumerate(networks(record.design))
        for kind in SHOWN
        if any(time.kind == kind for time in comparison.times)
    ]
    return [chart for chart in found if chart is not None]


def _arrivals(
    record: StudyRecord, comparison: Comparison, n: int, network: str, kind: str
) -> Chart | None:
    design = record.design
    times = {
        arm.name: np.sort([float(time_of(run, kind)) for run in record.of(arm.name).values()])
        for arm in arms_of(design, network)
    }
    reached = [t for its in times.values() for t in its if np.isfinite(t)]
    if not reached:
        return None
    traces = []
    for name, its in times.items():
        if len(its):
            method = design.arm(name).method
            there = its[np.isfinite(its)]
            x = [0.0, *there, 1.05 * max(reached)]
            y = [*(n / len(its) for n in range(len(there) + 1)), len(there) / len(its)]
            look = style(design, method)
            traces.append(line(method, x, y, look["colour"], line={**look["line"], "shape": "hv"}))
    sheet = times_sheet(comparison)
    rows = [row for row in sheet.rows if row[0] in times and row[1] == kind]
    return Chart(
        name=f"target-{n}-{kind}",
        title=f"Runs at the target, by {SHOWN[kind]}{on(comparison, network)}",
        words="The share of the runs that had reached the target by then.",
        figure=figure(
            traces,
            SHOWN[kind],
            "share of the runs",
            yaxis={"tickformat": ".0%", "range": [0, 1.04]},
        ),
        table=Table(caption=f"{sheet.caption}.", columns=sheet.columns, rows=rows),
    )


def profile_charts(comparison: Comparison) -> list[Chart]:
    """Give the performance profiles, where there are several methods and networks."""
    kinds = [kind for kind in SHOWN if any(p.kind == kind for p in comparison.profiles)]
    found = [[p for p in comparison.profiles if p.kind == kind] for kind in kinds]
    return [
        _profile(comparison, kind, group)
        for kind, group in zip(kinds, found, strict=True)
        if len(group) > 1 and group[0].workloads > 1 and any(p.ratios for p in group)
    ]


def _profile(comparison: Comparison, kind: str, group: list[Profile]) -> Chart:
    most = max(LARGEST_RATIO, *(1.05 * max(p.ratios, default=1.0) for p in group))
    traces = []
    for profile in group:
        look = style(comparison.design, profile.method)
        x = [1.0, *profile.ratios, most]
        y = [0.0, *profile.shares, max(profile.shares, default=0.0)]
        stepped = {**look["line"], "shape": "hv"}
        traces.append(line(profile.method, x, y, look["colour"], line=stepped))
    rows = [
        [p.method, f"{p.score:.3f}", f"{len(p.ratios)} of {p.workloads}",
         ", ".join(f"{ratio:.2f}" for ratio in p.ratios) or "–"]
        for p in sorted(group, key=lambda p: -p.score)
    ]  # fmt: skip
    few = " With so few networks it is a rough picture." if group[0].workloads < 5 else ""
    return Chart(
        name=f"profile-{kind}",
        title=f"Performance profile, by {SHOWN[kind]}",
        words=(
            "On which share of the networks a method takes at most so many times as long as the"
            f" best method there, medians of the runs.{few}"
        ),
        figure=figure(
            traces,
            "times the best",
            "share of the networks",
            yaxis={"tickformat": ".0%", "range": [0, 1.04]},
        ),
        table=Table(
            caption="The score is the mean height of the profile from 1 to 4.",
            columns=["method", "score", "reached", "times the best"],
            rows=rows,
        ),
    )


def time_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Give the times of the arms, and which arm of a pair was first."""
    if not comparison.times:
        return ()
    sheet = times_sheet(comparison)
    rows = [
        [p.first, p.second, p.kind, str(p.earlier), str(p.level), str(p.later), amount(p.ratio),
         p_words(p.p)]
        for p in comparison.pair_times
    ]  # fmt: skip
    columns = ["first", "second", "counted in", "first earlier", "level", "later", "ratio", "p"]
    pairs = Table(
        caption="Seed by seed, with the p-value of the sign test, which is not corrected.",
        columns=columns,
        rows=rows,
    )
    arms = Table(caption=f"{sheet.caption}.", columns=sheet.columns, rows=sheet.rows)
    return (arms, pairs) if rows else (arms,)
