"""What is told while a study goes."""

import pytest

from skipwise.studies.launchers import FINISHED, News, Outcome, Task
from skipwise.studies.telling import Progress

TASKS = [Task(arm="a", seed=n, experiment="", folder="", digest="") for n in range(8)]


def test_the_time_left_is_shared_by_all_that_were_seen_to_run_at_once():
    progress = Progress(TASKS, title="study")
    for task in TASKS[:4]:
        progress.take(News(task=task))
    assert "0/8 done, 4 running" in progress.summary()
    progress.take(News(task=TASKS[0], outcome=Outcome(state=FINISHED, score=0.5, seconds=60.0)))
    assert progress.seconds_left() == pytest.approx(7 * 60 / 4)
