"""Descriptions come back from the disk as they were; wrong ones are refused where they stand."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Optional, Protocol

import pytest

from skipwise.cli.words import named, parse_time
from skipwise.data import Digits, Shares
from skipwise.description import (
    Call,
    Description,
    check_written,
    from_plain,
    nearest,
    read_yaml,
    replace_all,
    replace_at,
    to_plain,
    write_yaml,
)
from skipwise.experiment import Experiment
from skipwise.networks import NetworkDescription, resnet20
from skipwise.strategies import (
    EMA,
    SAM,
    SGD,
    SWA,
    GradientNoise,
    Guard,
    Lookahead,
    Steps,
    Strategy,
    ZClip,
    agc_nf,
    momentum,
)
from skipwise.studies import Study

EVERY = [
    f() for f in {**named("networks", NetworkDescription), **named("strategies", Strategy)}.values()
]
EXPERIMENT = Experiment(data=Digits(), network=resnet20(), strategy=momentum(), epochs=3)


@pytest.mark.parametrize("description", EVERY, ids=lambda d: d.name)
def test_every_named_description_survives_the_disk(description):
    assert from_plain(read_yaml(write_yaml(description), "file")) == description


def test_an_experiment_with_a_users_function_survives_the_disk():
    mine = replace(EXPERIMENT, network=Call(target="mine:net", arguments={"width": 3}))
    plain = to_plain(mine)
    assert plain["network"] == {"is": "mine:net", "width": 3}
    with pytest.raises(
        ValueError, match=r"experiment.yaml: at network: 'mine:net' lies outside skipwise"
    ):
        from_plain(plain, where="experiment.yaml")


def test_names_on_disk_are_public_not_file_names():
    text = write_yaml(EXPERIMENT)
    for name in (
        "skipwise.experiment.Experiment",
        "skipwise.networks.ResNet",
        "skipwise.strategies.SGD",
    ):
        assert f"is: {name}\n" in text


def test_a_function_name_can_not_be_smuggled_in_as_ours():
    with pytest.raises(ValueError, match=r"skipwise.networks.resnet20 is not a description"):
        from_plain({"is": "skipwise.networks.resnet20"})
    with pytest.raises(ValueError, match="lies outside skipwise"):
        from_plain({"is": "skipwise_evil.Thing"})


def test_numbers_that_yaml_reads_as_words_are_numbers():
    text = write_yaml(momentum()).replace("weight_decay: 0.0005", "weight_decay: 5e-4")
    assert isinstance(read_yaml(text, "f")["weight_decay"], str)
    assert from_plain(read_yaml(text, "f")).weight_decay == 5e-4


def test_values_at_a_path_are_replaced_and_the_rest_stays():
    found = replace_at(EXPERIMENT, "data.shares.test", 0.5)
    assert found == replace(EXPERIMENT, data=Digits(shares=Shares(test=0.5)))
    assert replace_at(EXPERIMENT, "network.connection", "highway").network.connection.bias == -2.0
    assert replace_at(EXPERIMENT, "network.blocks", [1, 2]).network.blocks == (1, 2)
    with pytest.raises(ValueError, match="seed must be int, got True"):
        replace_at(EXPERIMENT, "seed", True)
    with pytest.raises(ValueError, match="there is nothing to set at 'x'"):
        replace_at(EXPERIMENT, "seed.x", 1)


def test_values_that_fit_only_together_are_taken_in_any_order():
    guarded = replace(EXPERIMENT, strategy=replace(momentum(), guard=Guard()))
    pairs = (
        {"strategy.guard.settling": 200, "strategy.guard.window": 300},
        {
            "strategy.averaging.last": 0.5,
            "strategy.averaging": "SWA",
        },
    )
    for values in pairs:
        forth, back = (
            replace_all(guarded, dict(some)) for some in (values.items(), [*values.items()][::-1])
        )
        assert forth == back
        assert forth != guarded
    averaged = replace(EXPERIMENT, strategy=replace(momentum(), averaging=SWA(last=0.1)))
    values = {"strategy.averaging.every": 2, "strategy.averaging": "SWA"}
    assert replace_all(averaged, values).strategy.averaging == SWA(every=2)
    with pytest.raises(ValueError, match="did you mean 'SWA'"):
        replace_all(EXPERIMENT, {"strategy.averaging.every": 2, "strategy.averaging": "SWAA"})
    with pytest.raises(ValueError, match=r"window .* must be at least settling, got 150 and 200"):
        replace_all(
            guarded,
            {"strategy.guard.settling": 200, "strategy.guard.window": 150, "strategy.guard.s": 1},
        )


@pytest.mark.parametrize("none", ["none", "None", None])
def test_none_is_a_word_for_each_field_that_may_be_empty(none: str | None):
    full = replace(momentum(), averaging=EMA(), guard=Guard(), clip_norm=1.0, gradient=(ZClip(),))
    for name in ("averaging", "guard", "clip_norm"):
        assert replace_at(full, name, none) == replace(full, **{name: None})
    assert replace_at(full, "gradient", none).gradient == ()
    assert replace_at(replace(EXPERIMENT, metric="f1"), "metric", none).metric is None
    assert replace_at(replace(full, rate_rule="linear"), "rate_rule", "none").rate_rule == "none"


def test_a_field_of_one_of_several_parts_is_told_by_the_name_of_its_part():
    several = replace(momentum(), gradient=(ZClip(), GradientNoise()))
    with pytest.raises(ValueError, match=r"at 'variance'; name the part, GradientNoise\.variance"):
        replace_at(several, "gradient.variance", 0.1)
    found = replace_at(several, "gradient.GradientNoise.variance", 0.1)
    assert found.gradient == (ZClip(), replace(GradientNoise(), variance=0.1))


def test_what_stands_within_a_list_or_a_mapping_is_fitted_too():
    stepped = replace(momentum(), schedule=Steps(), rates={"stem": 0.5})
    found = replace_at(stepped, "schedule.milestones", ["3e-1", 0.5])
    assert found.schedule == Steps(milestones=(0.3, 0.5))
    assert replace_at(stepped, "rates.stem", "5e-2").rates == {"stem": 0.05}
    text = write_yaml(stepped).replace("stem: 0.5", "stem: 5e-1")
    assert from_plain(read_yaml(text, "f")) == stepped


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("strategy.schedule.milestones", ["half"], r"milestones\[0\] must be float, got 'half'"),
        ("strategy.rates", {"stem": "half"}, r"rates\.stem must be float, got 'half'"),
        ("strategy.rates.stem", True, r"rates\.stem must be float, got True"),
        ("network.blocks", [3, 1.5], r"blocks\[1\] must be int, got 1\.5"),
    ],
)
def test_what_does_not_fit_within_one_is_refused_where_it_stands(path: str, value, told: str):
    stepped = replace(EXPERIMENT, strategy=replace(momentum(), schedule=Steps()))
    with pytest.raises(ValueError, match=told):
        replace_at(stepped, path, value)


def test_a_pair_is_no_triple():
    both = {"networks": (resnet20(),), "strategies": (momentum(),)}
    pair = Study(experiment=EXPERIMENT, family=(("a", "b"),), **both)
    with pytest.raises(ValueError, match=r"family\[0\] must have 2 members, got 3"):
        from_plain({**to_plain(pair), "family": [["a", "b", "c"]]})


def test_the_nearest_name_is_offered_or_all_are_listed():
    assert nearest("resnet21", ["resnet20", "resnet32", "plain20"]) == "; did you mean 'resnet20'?"
    assert nearest("zzz", ["b", "a"]) == "; there are a, b"


def test_a_call_hands_over_what_the_function_names():
    call = Call(target="tests.test_description:width_of", arguments={"extra": 2})
    assert call(channels=3, classes=9) == 5
    with pytest.raises(ValueError, match=r"cannot be called: .*it is offered classes"):
        Call(target="tests.test_description:width_of")(classes=9)
    with pytest.raises(
        ValueError, match=r"tests.test_description has no 'width_off'; did you mean 'width_of'"
    ):
        Call(target="tests.test_description:width_off")()


def width_of(channels: int, extra: int) -> int:
    return channels + extra


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("7", 7)]
)
def test_times_are_read(text: str, seconds: float):
    assert parse_time(text) == seconds


NO_TIME = "{!r} is no time; write 90s, 10m or 1h30m"
NOT_POSITIVE = "a time must be positive, got {!r}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", NO_TIME),
        ("10 m", NO_TIME),
        ("m10", NO_TIME),
        ("5x", NO_TIME),
        ("-5s", NOT_POSITIVE),
        ("0s", NOT_POSITIVE),
    ],
)
def test_what_is_no_time_is_refused(text: str, told: str):
    with pytest.raises(ValueError, match=told.format(text)):
        parse_time(text)


def test_every_named_network_and_strategy_carries_its_own_name():
    for name, function in named("networks", NetworkDescription).items():
        assert function().name == name
    for name, function in named("strategies", Strategy).items():  # - is _ to a reader
        assert function().name.replace("-", "_") == name


def test_none_in_place_of_several_is_none_of_them():
    for word in (None, "none"):
        assert replace_at(agc_nf(), "gradient", word).gradient == ()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: replace(Lookahead(), steps=2.5), r"^steps must be int, got 2\.5$"),
        (lambda: replace(Guard(), window=50.5), r"^window must be int, got 50\.5$"),
        (lambda: replace(EMA(), decay="most"), r"^decay must be float, got 'most'$"),
        (lambda: replace(SAM(), base="SGD"), r"^base must be Optimiser, got 'SGD'$"),
        (lambda: replace(momentum(), peak_lr=True), r"^peak_lr must be float, got True$"),
        (lambda: replace(momentum(), optimiser=SGD), r"^optimiser must be Optimiser, got <class"),
        (lambda: replace(momentum(), schedule="Cosine"), r"^schedule must be Schedule, got 'Cos"),
        (lambda: replace(momentum(), averaging=ZClip()), r"^averaging must be Averaging or noth"),
        (lambda: replace(momentum(), gradient=ZClip()), r"^gradient must be tuple, got ZClip"),
        (lambda: replace(momentum(), gradient=(EMA(),)), r"^gradient\[0\] must be GradientTrans"),
        (lambda: replace(momentum(), rates=[("norm", 0.1)]), r"^rates must be Mapping, got \["),
        (lambda: replace(momentum(), guard=True), r"^guard must be Guard or nothing, got True$"),
    ],
)
def test_a_part_of_a_strategy_is_of_the_kinds_that_its_fields_name(make: Callable, told: str):
    with pytest.raises(ValueError, match=told):
        make()


def test_what_a_file_may_say_may_be_given_in_python():
    shares = replace(Steps(), milestones=["5e-1"])
    listed = replace(momentum(), gradient=[ZClip()], peak_lr=1, schedule=shares)
    assert listed.gradient == (ZClip(),)
    assert type(listed.peak_lr) is int  # as studies on disk name their runs by the text
    assert listed.schedule == Steps(milestones=(0.5,))
    assert from_plain(to_plain(listed)) == listed


class Seen(Protocol):
    """A kind that isinstance refuses to tell."""


@dataclass(frozen=True, kw_only=True)
class Rule(Description):
    """A user's own, with hints that ours do not have."""

    kind: Literal["a", "b"] = "a"
    memory: Optional[float] = None  # noqa: UP045 - as a user may write it
    widths: list[int] = field(default_factory=list)
    folder: Path = Path()
    seen: Seen | None = None
    any: object = True


@dataclass(frozen=True, kw_only=True)
class Unresolved(Description):
    """With a hint that only a type checker can follow."""

    width: "NoSuchThing" = 0  # noqa: F821 # pyright: ignore


def test_hints_of_a_users_own_class_are_followed_as_far_as_they_go():
    found = Rule(kind="b", memory=1, widths=[1, 2], folder=Path("a"), any=False)
    assert (found.memory, found.widths) == (1.0, [1, 2])
    assert Rule(seen="it").seen == "it"  # pyright: ignore[reportArgumentType]
    assert replace_at(Unresolved(width=1), "width", 2).width == 2
    for made in (found, Unresolved(width=2.5)):
        assert from_plain(to_plain(made), allow=["tests"]) == made
    with pytest.raises(ValueError, match="memory must be float or nothing, got 'much'"):
        Rule(memory="much")  # pyright: ignore[reportArgumentType]


def test_what_was_made_in_python_is_refused_where_it_could_not_be_read_again():
    check_written(EXPERIMENT, "it")
    for network, told in (
        (replace(resnet20(), width=2.5), r"^it: network\.width must be int, got 2\.5$"),
        (replace(resnet20(), stem=type(resnet20().stem)), r"^it: network\.stem: .*not the class"),
    ):
        with pytest.raises(ValueError, match=told):
            check_written(replace(EXPERIMENT, network=network), "it")

    @dataclass(frozen=True, kw_only=True)
    class Hidden(SGD):
        pass

    hidden = replace(EXPERIMENT, strategy=replace(momentum(), optimiser=Hidden()))
    with pytest.raises(
        ValueError, match=r"^it: at strategy\.optimiser: .*Hidden' is made within a"
    ):
        check_written(hidden, "it")
