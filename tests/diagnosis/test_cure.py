"""A cure has words for every reader, and a verdict is told in those of one."""

from skipwise.diagnosis import Level, Reader, Verdict
from skipwise.diagnosis.cure import by_network, by_training, for_all, joined

RATE = by_training("--set strategy.peak_lr=0.1", module="a lower rate")
SKIP = by_network("--set network.connection=Additive", module="x + block(x)")


def test_settings_of_the_training_hold_for_any_network_and_those_of_a_network_for_ours():
    assert [RATE.to(reader) for reader in Reader] == [RATE.run, RATE.run, "a lower rate"]
    assert [SKIP.to(reader) for reader in Reader] == [SKIP.run, "x + block(x)", "x + block(x)"]
    assert len({for_all("wait").to(reader) for reader in Reader}) == 1


def test_ways_are_joined_for_each_reader_without_those_that_do_not_apply():
    both = joined((RATE, SKIP, by_training("--resume", module="")))
    assert both.module == "a lower rate; x + block(x)"
    assert both.own == "--set strategy.peak_lr=0.1; x + block(x); --resume"


def test_a_verdict_is_told_in_the_words_of_its_reader():
    verdict = Verdict(rule="V1", name="it", level=Level.FAIL, says="so", source="", remedy=SKIP)
    assert verdict.cure == SKIP.run
    assert "remedy" not in verdict.as_plain()
    told = verdict.told(Reader.MODULE)
    assert (told.cure, told.told(Reader.RUN).cure) == (SKIP.module, SKIP.module)
