"""``explain``: a topic becomes a record and its page."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from skipwise.files import check_place
from skipwise.lessons.depth import depth_lesson
from skipwise.reports.lesson import DepthLesson, lesson_report, sentences

TOPICS = ("depth",)


@final
@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a lesson found: the record, what its numbers say, and the page.

    Args:
        lesson: All numbers.
        page: The file, or None if none was asked for.
    """

    lesson: DepthLesson
    page: Path | None

    @property
    def words(self) -> tuple[str, ...]:
        """What the numbers of this run say, one sentence each."""
        return sentences(self.lesson)

    def __str__(self) -> str:
        """Say it, and where the page is."""
        return "\n".join([*self.words, *([f"page: {self.page}"] if self.page else [])])

    def as_plain(self) -> dict[str, Any]:
        """Give what JSON can write."""
        page = None if self.page is None else str(self.page)
        return {"sentences": list(self.words), "page": page, **self.lesson.as_plain()}


def explain(
    topic: str,
    *,
    out: str | Path | None = None,
    data: str = "digits",
    seed: int = 0,
    seconds: float = 120.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Explanation:
    """Give a lesson on a topic, computed here and now.

    Args:
        topic: ``depth``.
        out: The page's file, or a folder for it; no page if None.
        data: What networks learn from.
        seed: The first seed.
        seconds: Time for all of it.
        tell: Is told what goes on.

    Raises:
        ValueError: If there is no such topic, or the page could not be written.
        TypeError: If the time is no number.
        OSError: If the page cannot be written.
    """
    if topic not in TOPICS:
        raise ValueError(f"there is no lesson on {topic!r}; the topics are: {', '.join(TOPICS)}")
    if not isinstance(seconds, int | float):
        raise TypeError(f"seconds must be a number, 60 for example; got {seconds!r}")
    if out is not None and not Path(out).is_dir():
        check_place(Path(out), "page")
    lesson = depth_lesson(data, seed=seed, seconds=seconds, tell=tell)
    return Explanation(lesson=lesson, page=None if out is None else lesson_report(lesson, out))
