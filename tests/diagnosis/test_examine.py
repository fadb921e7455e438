"""An examination measures what applies, leaves the model as it is, and says what it could not."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from skipwise.analysis import Rule, weights_of
from skipwise.diagnosis import History, Level, examine
from skipwise.diagnosis.examine import _limit
from skipwise.diagnosis.subject import subject_of
from skipwise.networks import resnet8_w32
from skipwise.shapes import Ends
from skipwise.strategies import momentum
from tests.analysis.test_untouched import everything, same

RULES = [f"V{number}" for number in range(14)]


def pictures(batches: int = 4, size: int = 12, side: int = 8) -> list[tuple[Tensor, Tensor]]:
    noise = torch.Generator().manual_seed(0)
    return [
        (torch.randn(size, 3, side, side, generator=noise), torch.arange(size) % 3)
        for _ in range(batches)
    ]


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + x


def small(blocks: int = 3, width: int = 4, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        row = (Block(width) for _ in range(blocks))
        ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3)
        return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), *row, *ends)


def in_use() -> nn.Sequential:
    """In the middle of something: gradients, a frozen part, mixed modes, others' hooks."""
    model = small()
    nn.functional.cross_entropy(model(pictures()[0][0]), pictures()[0][1]).backward()
    model[1].eval().requires_grad_(False)
    model[2].register_forward_hook(lambda *_: None)
    return model


def descent(model: nn.Module, rate: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate)


def test_every_rule_gives_its_verdict_and_the_model_stays_as_it_is():
    model = in_use()
    optimiser, before = descent(model), everything(model)
    state = str(optimiser.state_dict())
    found = examine(
        model,
        pictures(),
        optimiser=optimiser,
        validation=pictures(2),
        start=weights_of(small(seed=1)),
        seconds=math.inf,
    )
    assert same(everything(model), before)
    assert str(optimiser.state_dict()) == state
    assert [verdict.rule for verdict in found.verdicts] == RULES
    assert not found.failed
    known = [v.rule for v in found.verdicts if v.level is not Level.UNKNOWN]
    assert set(known) >= {"V0", "V1", "V2", "V3", "V4", "V6", "V7", "V8", "V9", "V10", "V11"}
    assert found.facts["blocks"] == ("1", "2", "3")
    assert found.facts["trained"] is True


@pytest.mark.parametrize("calls", [0, 2, 4, 7, 12, 20, 40, 80])
def test_everything_is_as_before_when_the_loss_fails_half_way(calls: int):
    model, made = in_use(), []
    optimiser, before = descent(model), everything(model)

    def failing(output: Tensor, targets: Tensor) -> Tensor:
        made.append(torch.rand(1))
        if len(made) > calls:
            raise RuntimeError("half-way\nwith a long tail")
        return nn.functional.cross_entropy(output, targets)

    def examined() -> Any:
        return examine(model, pictures(), loss=failing, optimiser=optimiser, seconds=math.inf)

    if calls < 2:
        with pytest.raises(ValueError, match="cannot be computed on the first batch: RuntimeError"):
            examined()
    else:
        found = examined()
        assert "RuntimeError: half-way" in found.failed.values()
        assert [verdict.rule for verdict in found.verdicts] == RULES
    assert same(everything(model), before)


def test_the_mode_that_the_model_is_in_does_not_matter():
    def numbers(training: bool) -> list[Any]:
        found = examine(small().train(training), pictures(), seconds=math.inf)
        return [verdict.as_plain() for verdict in found.verdicts]

    assert str(numbers(True)) == str(numbers(False))


def test_weights_that_are_not_finite_get_their_verdict_and_no_refusal():
    model = small()
    with torch.no_grad():
        model[2].get_parameter("branch.0.weight")[0, 0, 0, 0] = math.inf
    before = everything(model)
    found = examine(model, pictures(), optimiser=descent(model))
    assert same(everything(model), before)
    assert [v.rule for v in found.of(Level.FAIL)] == ["V0"]
    assert found.verdicts[0].where[0] == "2.branch.0"
    assert list(found.measurements) == ["finiteness"]
    assert len(found.failed) == 1


def test_a_run_that_diverged_is_accused_by_its_history():
    history = History(steps=(1, 2), losses=(2.0, math.nan), rates=(0.1, 0.1))
    found = examine(small(), pictures(), history=history, seconds=math.inf)
    assert found.verdicts[0].level is Level.FAIL
    assert "signal" in found.measurements


def test_a_model_without_blocks_is_measured_in_the_rest_and_that_is_said_once():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    found = examine(model, pictures(), optimiser=Rule(rate=0.01), seconds=math.inf)
    assert "has no blocks that repeat" in found.failed["blocks"]
    assert "gradient noise" in found.measurements
    assert (found.verdicts[11].level, found.verdicts[11].rule) == (Level.PASS, "V11")
    assert "signal" not in found.failed


def test_what_comes_too_late_is_left_out_and_named():
    found = examine(small(), pictures(), seconds=1e-9)
    assert list(found.measurements) == ["finiteness"]
    assert found.failed["signal"] == "it was left out, for 0 s of 0 s were used"
    assert found.verdicts[1].says.startswith("Not known: signal: it was left out")
    assert found.headline().startswith("No fault found; not known: V1")


def test_the_start_is_judged_by_the_weights_that_it_had():
    start = small()
    expected = examine(start, pictures(), seconds=math.inf)
    now, kept = small(seed=1), weights_of(start)
    before = everything(now)
    found = examine(now, pictures(), start=kept, seconds=math.inf)
    assert same(everything(now), before)
    begun = found.measurements["signal at the start"]
    assert begun == expected.measurements["signal"]
    assert begun != found.measurements["signal"]
    assert found.verdicts[13] == expected.verdicts[13]


def chain(gain: float) -> nn.Sequential:
    """Plain layers of one width; a gain of 1 is He's start, 1.5 grows by 2.25 a layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        row = [nn.Sequential(nn.Linear(48, 48, bias=False), nn.ReLU()) for _ in range(24)]
        for layer in row:
            nn.init.normal_(layer.get_parameter("0.weight"), std=gain * math.sqrt(2 / 48))
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 48), *row, nn.Linear(48, 3))


def test_what_exploded_at_the_start_only_is_a_warning():
    exploding = weights_of(chain(1.5))
    said = {
        name: examine(model, pictures(), start=start, seconds=math.inf).verdicts[1]
        for name, model, start in (
            ("then", chain(1.0), exploding),
            ("never", chain(1.0), weights_of(chain(1.0))),
            ("now", chain(1.5), exploding),
        )
    }
    assert said["then"].level is Level.WARN
    assert said["then"].says.startswith("At the start of the training, not now: ")
    assert said["never"].level not in (Level.WARN, Level.FAIL)
    assert said["now"].level is Level.FAIL


def test_a_rule_in_plain_numbers_is_rehearsed_as_torch_would():
    found = {
        name: examine(
            model := small(), pictures(), optimiser=make(model), seconds=math.inf
        ).measurements["rehearsal"]
        for name, make in {
            "rule": lambda _: Rule(rate=0.05, momentum=0.9),
            "torch": lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9),
        }.items()
    }
    assert found["rule"].columns == found["torch"].columns


def held() -> nn.Module:
    """A model that has its blocks in a list, which itself is never called."""

    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, *rows = small()[:4]
            self.rows = nn.ModuleList(rows)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            for row in self.rows:
                x = row(x)
            return x.mean((2, 3))

    return Listed()


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ({"sites": "4*.x"}, ValueError, r"no module of Sequential fits the pattern 4\*\.x"),
        ({"sites": "1.brunch"}, ValueError, "did you mean '1.branch'"),
        ({"model": held(), "sites": "rows"}, ValueError, "computes none of the blocks rows; name"),
        ({"batches": []}, ValueError, "there is no batch to measure on"),
        ({"batches": 3}, TypeError, "batches must be a pair"),
        (
            {"batches": [(x[:, :2], y) for x, y in pictures()]},
            ValueError,
            "cannot be computed on its inputs",
        ),
        ({"batches": [(x, y + 7) for x, y in pictures()]}, ValueError, "the targets reach from"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, ValueError, "must be one number, got"),
        ({"seconds": 0}, ValueError, "seconds must be positive, got 0"),
        ({"optimiser": "sgd"}, TypeError, r"got str; of a Skipwise strategy it is strategy\.build"),
        ({"optimiser": momentum()}, TypeError, "optimiser must be the torch.*got Strategy"),
        (
            {"start": {f"module.{n}": t for n, t in weights_of(in_use()).items()}},
            ValueError,
            r"start has no '0\.weight', but 'module\.0\.weight', .*of a wrapper; take the weights",
        ),
        ({"start": weights_of(small(width=6))}, ValueError, "start; it is of another model"),
        ({"model": 3}, TypeError, r"model must be a torch\.nn\.Module, got int"),
    ],
)
def test_wrong_input_is_one_sentence(change: dict[str, Any], kind: type[Exception], told: str):
    model = in_use()
    given = {"model": model, "batches": pictures(), **change}
    before = everything(model)
    with pytest.raises(kind, match=told):
        examine(given.pop("model"), given.pop("batches"), **given)
    assert same(everything(model), before)


@pytest.mark.parametrize(("deep", "told"), [(False, "; ask gives 600"), (True, "")])
def test_more_time_is_offered_where_there_is_more(deep: bool, told: str):
    assert _limit(None, "ask", deep=deep)[1] == told


@pytest.mark.parametrize("error", [TypeError, KeyError, AttributeError, AssertionError])
@pytest.mark.parametrize("calls", [0, 4])
def test_whatever_a_loss_raises_is_one_sentence(error: type[Exception], calls: int):
    left = iter(range(calls))

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        if next(left, None) is None:
            raise error("so it is")
        return nn.functional.cross_entropy(output, targets)

    if calls:
        assert any(
            "so it is" in why for why in examine(small(), pictures(), loss=loss).failed.values()
        )
        return
    with pytest.raises(ValueError, match=r"cannot be computed on the first batch: .*so it is"):
        examine(small(), pictures(), loss=loss)


class Tokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mT


class First(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def transformer() -> nn.Module:
    layers = (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(3))
    patches = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), Tokens())
    return nn.Sequential(patches, *layers, First(), nn.Linear(8, 3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: resnet8_w32().build(Ends(inputs=(3, 16, 16), outputs=(3,))),
    "torchvision": lambda: ResNet(BasicBlock, [2, 1, 1, 1], num_classes=3),
    "bottlenecks": lambda: ResNet(Bottleneck, [2, 1, 1, 1], num_classes=3, width_per_group=4),
    "transformer": transformer,
}


@pytest.mark.parametrize("name", MODELS)
def test_any_network_is_examined(name: str):
    torch.manual_seed(0)
    model = MODELS[name]()
    found = examine(model, pictures(2, size=8, side=16), seconds=math.inf)
    assert [verdict.rule for verdict in found.verdicts] == RULES
    assert set(found.failed) <= {"rehearsal", "gradient noise"}
    assert len(found.facts["blocks"]) == {"torchvision": 5, "bottlenecks": 5}.get(name, 3)


def test_a_compiled_model_is_the_model():
    compiled: Any = torch.compile(small(), backend="eager")
    found = examine(compiled, pictures(), seconds=math.inf)
    assert found.verdicts == examine(small(), pictures(), seconds=math.inf).verdicts


def test_a_norm_that_is_not_called_has_no_statistics_to_judge():
    class Waiting(nn.Sequential):
        def __init__(self, *parts: nn.Module):
            super().__init__(*parts)
            self.unused = nn.ModuleList([nn.BatchNorm1d(8)])

        def forward(self, input: Tensor) -> Tensor:
            return self[1](self[0](input).relu().flatten(1))

    model = Waiting(nn.Conv2d(3, 4, 3), nn.Linear(144, 3))
    (verdict,) = (v for v in examine(model, pictures()).verdicts if v.rule == "V11")
    assert verdict.level is Level.UNKNOWN


def test_a_dead_first_layer_of_a_plain_network_is_judged_and_no_error():
    first = nn.Linear(32, 64)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    with torch.no_grad():
        first.bias.fill_(-100.0)
    batches = [(torch.randn(100, 32), torch.arange(100) % 3) for _ in range(12)]
    rules = {verdict.rule: verdict.level for verdict in examine(model, batches).verdicts}
    assert rules["V5"] is Level.FAIL


def test_a_shuffling_loader_leaves_the_callers_random_numbers():
    x, y = torch.randn(48, 3, 8, 8), torch.arange(48) % 3
    loader = DataLoader(TensorDataset(x, y), batch_size=12, shuffle=True)
    before = torch.random.get_rng_state()
    first = examine(small(), loader, seconds=math.inf)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert examine(small(), loader, seconds=math.inf).verdicts == first.verdicts


def test_validation_of_one_class_says_nothing_of_guessing():
    x = torch.randn(32, 3, 8, 8)
    one = [(x, torch.zeros(32, dtype=torch.long))]
    found = examine(small(), pictures(), validation=one)
    (verdict,) = (v for v in found.verdicts if v.rule == "V10")
    assert verdict.level not in (Level.FAIL, Level.WARN)


def test_an_optimiser_that_took_steps_tells_that_a_model_was_trained():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.randn(12, 4), torch.arange(12) % 3
    adam = torch.optim.Adam(model.parameters())
    given = {"updated_on": None, "validation": None, "sites": None, "seconds": 60.0}
    options = {"loss": None, "optimiser": adam, "history": None, "start": None}
    assert subject_of(model, [(x, y)], **given, **options).trained is None
    nn.functional.cross_entropy(model(x), y).backward()
    adam.step()
    assert subject_of(model, [(x, y)], **given, **options).trained
