"""The page of a lesson: what is plotted, its formula, what there is to see, and sources."""

from collections.abc import Iterator
from pathlib import Path

from skipwise.files import write_atomic
from skipwise.reports.chart import Link, Table
from skipwise.reports.lesson.charts import (
    at_a_glance,
    gradient_chart,
    summary_table,
    training_chart,
)
from skipwise.reports.lesson.record import DepthLesson
from skipwise.reports.lesson.story import EXPLODES, VANISHES, short, stories
from skipwise.reports.page import Page, Section, rendered
from skipwise.reports.words import counted, duration

LESSON = "depth.html"
ASKED = (
    "A deep network should do no worse than a shallow one: it could copy the shallow one and let"
    " the other layers do nothing. Yet He et al. (2015) saw plain networks whose training error"
    " grew with depth. The question of this page is why, and what the sum y = F(x) + x changes."
)
DESIGNS = {
    "vanish": ("sigmoid",),
    "explode": ("plain_norm", "unscaled"),
    "in-vain": ("plain",),
    "skip": ("scaled", "zero", "residual_norm"),
}
TEXTS = {
    "vanish": (
        "Going back through a layer, the gradient is multiplied by Wᵀ and by φ′. A sigmoid's slope"
        " is at most ¼, so that every layer shortens it: with weights of variance 1/n by a factor"
        " √χ, whatever the data are. Look for a straight line on the logarithmic axis; it is the"
        " same line for every depth.",
    ),
    "explode": (
        "Half of the squared gradient passes a ReLU; of the second moment ½ behind it only"
        " (1 − 1/π)/2 is variance, and by that the next BatchNorm divides. So each pair multiplies"
        " the squared gradient by π/(π − 1): plain networks with BatchNorm explode, and no choice"
        " of weights helps, since the norm undoes it. A sum without a scale explodes in another"
        " way: each block adds as much as"
        " it carries, so that signal and squared gradient double.",
    ),
    "in-vain": (
        "He's start gives every weight the variance 2/n, so that what a ReLU cuts off is made up"
        " for: in the mean the gradient's norm stays what it is. What is left is chance, since each"
        " layer is one draw of n rows. If these networks train worse as they grow deeper, then not"
        " for vanishing or exploding gradients.",
    ),
    "skip": (
        "With a skip the gradient comes back as a sum too: what the branch gives, and the whole of"
        " what arrived, which no layer touched. How much the branches add decides what norms do:"
        " scaled by 1/√B they multiply it by at most √e however deep the network is, branches that"
        " start at zero leave it as it is, and BatchNorm within the branch lets it grow as a power"
        " of the depth, where without the skip it grows exponentially. The plain twins are these"
        " networks without the sum, with the same weights at the start.",
    ),
}
FORMULAS = {
    "vanish": ("plain: ‖g_l‖² = χ·‖g_{l+1}‖²,  χ = σ²·E φ′(√q·z)²",),
    "explode": (
        "plain BatchNorm: ‖g_l‖² = π/(π − 1)·‖g_{l+1}‖², so that the norm grows by 1.2112 a layer",
        "residual unscaled: ‖g_b‖² = (1 + 1)·‖g_{b+1}‖², so that it grows by √2 a block",
    ),
    "in-vain": (
        "plain ReLU: E ‖g_l‖² = E ‖g_{l+1}‖²",
        "its scatter at width n: log ‖g_0‖²/‖g_L‖² has the standard deviation √(5·L/n)",
    ),
    "skip": (
        "y = F(x) + x, so that g_x = g_y + J_Fᵀ·g_y",
        "residual scaled by 1/√B: ‖g_b‖² = (1 + 1/B)·‖g_{b+1}‖², in all less than e",
        "residual from zero: g_b = g_{b+1}",
        "residual BatchNorm: ‖g_b‖² = (1 + π/(π − 1)/(v_0 + (1 − 1/π)·b))·‖g_{b+1}‖²",
    ),
}
SYMBOLS = (
    ("l, b", "a layer and a block, counted from 0 at the first block"),
    ("L, B, n", "number of layers and of blocks; width of a layer"),
    ("g", "gradient of the loss by the input of a layer or block"),
    ("‖g‖", "its Euclidean norm, over all examples of the batch together"),
    ("F, x, y", "branch, input and output of a block: y = F(x) + x with a skip, F(x) without"),
    ("J", "Jacobian of the branch; its transpose takes the gradient back"),
    ("φ, φ′", "activation, ReLU or sigmoid, and its slope"),
    ("σ²", "n times the variance of a layer's weights at the start"),
    ("q", "second moment of what enters an activation"),
    ("χ", "factor on the squared gradient for one layer"),
    ("z, E", "a standard Gaussian number; the mean over it, or over random weights"),
    ("v", "variance of the stream over the batch, at the first block"),
)
SOURCES = (
    ("He et al. (2015), residual learning; degradation of plain networks", "1512.03385"),
    ("He et al. (2015b), the start with variance 2/n", "1502.01852"),
    ("He et al. (2016), identity mappings; the gradient as a sum", "1603.05027"),
    ("Schoenholz et al. (2017), χ and the depth that a signal reaches", "1611.01232"),
    ("Yang, Schoenholz (2017), mean field of residual networks", "1712.08969"),
    ("Balduzzi et al. (2017), shattered gradients", "1702.08591"),
    ("Hanin (2018), how gradients scatter at finite width", "1801.03744"),
    ("Yang et al. (2019), BatchNorm makes gradients explode", "1902.08129"),
    ("De, Smith (2020), BatchNorm biases blocks towards the skip", "2002.10444"),
)


def lesson_report(lesson: DepthLesson, out: str | Path) -> Path:
    """Write the page.

    Args:
        lesson: The record.
        out: The file, or a folder for ``depth.html``.

    Returns:
        The file.

    Raises:
        OSError: If it cannot be written; a page that was there stays as it was.
    """
    path = Path(out)
    if path.is_dir():
        path /= LESSON
    write_atomic(path, rendered(lesson_page(lesson)).encode())
    return path


def lesson_page(lesson: DepthLesson) -> Page:
    """Give what the template writes."""
    told = stories(lesson)
    seen = sum(story.seen for story in told)
    return Page(
        title="Why depth needs a skip",
        headline=f"{seen} of {len(told)} stories were seen in this run, on {lesson.setting.data}",
        verdict=[*(story.sentences[0] for story in told), *lesson.left_out],
        figures=list(_figures(lesson)),
        sections=list(_sections(lesson)),
        command=lesson.setting.command,
        kicker="A lesson by Skipwise",
        summary="In short",
    )


def _figures(lesson: DepthLesson) -> Iterator[tuple[str, str, str]]:
    setting, trainings = lesson.setting, lesson.trainings
    yield "layers", ", ".join(map(str, lesson.depths)), f"each of width {setting.width}"
    measured = sum(len(profile.gradients) for profile in lesson.profiles)
    yield "starts measured", f"{measured:,}", counted(len(setting.starts), "seed")
    yield "trainings", f"{len(trainings):,}", f"{setting.steps} steps of {setting.batch} examples"
    yield "data", setting.data, counted(setting.examples, "training example")
    yield "time", duration(lesson.seconds), "on one thread"


def _sections(lesson: DepthLesson) -> Iterator[Section]:
    yield Section(
        name="question",
        title="The question",
        words=(ASKED, _what_is_compared(lesson)),
        charts=tuple(at_a_glance(lesson)),
    )
    for story in stories(lesson):
        designs = DESIGNS[story.name]
        pairs = [(gradient_chart(lesson, d), training_chart(lesson, d)) for d in designs]
        yield Section(
            name=story.name,
            title=story.title,
            words=TEXTS[story.name],
            formulas=FORMULAS[story.name],
            seen=story.sentences,
            charts=tuple(chart for pair in pairs for chart in pair if chart is not None),
        )
    yield Section(name="numbers", title="All numbers", tables=(summary_table(lesson),))
    yield Section(name="words", title="Symbols, sources, setting", tables=tuple(_words(lesson)))


def _what_is_compared(lesson: DepthLesson) -> str:
    setting = lesson.setting
    starts, seeds = counted(len(setting.starts), "seed"), counted(len(setting.seeds), "seed")
    return (
        "All networks here are chains of blocks of two fully connected layers. Pictures are read as"
        f" vectors. Before training, the gradient of {setting.measured} examples is measured at"
        f" every block for {starts}, beside what theory expects of such a network; then each"
        f" that can learn is trained for {setting.steps} steps ({setting.strategy}) with {seeds}."
    )


def _words(lesson: DepthLesson) -> Iterator[Table]:
    setting = lesson.setting
    yield Table(caption="Symbols", columns=["symbol", "what it is"], rows=SYMBOLS)
    yield Table(
        caption="Sources",
        columns=["what", "arXiv"],
        rows=[[what, Link(words=n, address=f"https://arxiv.org/abs/{n}")] for what, n in SOURCES],
    )
    rates = [(lesson.names[key], f"{rate:g}") for key, rate in setting.rates.items()]
    same = sorted({rate for _, rate in rates})
    by_rate = [f"{rate} for {', '.join(n for n, r in rates if r == rate)}" for rate in same]
    yield Table(
        caption="Setting",
        columns=["what", "value"],
        rows=[
            ["strategy", setting.strategy],
            ["learning rate", "; ".join(by_rate)],
            ["seeds of trainings", ", ".join(map(str, setting.seeds))],
            ["seeds of measured starts", ", ".join(map(str, setting.starts))],
            [
                "vanishes, explodes",
                f"below {short(VANISHES)}, above {short(EXPLODES)}, in every seed",
            ],
        ],
    )
