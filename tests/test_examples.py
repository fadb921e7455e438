"""The examples do what their docstrings say."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_articles_program_adds_the_input_and_memorises_its_batch():
    article = example("article")
    with torch.random.fork_rng():
        losses = article.main(steps=10, batch=16, side=64)
        network = article.article_network().eval()
    assert losses[-1] < 0.5 * losses[0]
    block = network[4][0]
    x = torch.rand(2, 32, 8, 8)
    assert torch.equal(block(x), torch.relu(x + block.branch(x)))


def test_what_explodes_is_trained_with_the_guard(capsys: pytest.CaptureFixture[str]):
    found = example("explosion").main(seeds=(0,), steps=150)
    assert found["off"][0] < 0.2
    assert found["on"][0] > 0.3
    assert "returns" in capsys.readouterr().out.splitlines()[-1]


def test_the_demo_trains_both_networks_and_prints_scores_and_paths(tmp_path: Path):
    code = (
        "import importlib.util; s = importlib.util.spec_from_file_location('demo', r'{}');"
        "m = importlib.util.module_from_spec(s); s.loader.exec_module(m); m.EPOCHS = 1; m.main()"
    ).format(EXAMPLES / "demo.py")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for name in ("resnet20", "plain20"):
        lines = [line for line in done.stdout.splitlines() if line.startswith(name)]
        line = next(line for line in lines if "test accuracy" in line)
        assert Path(tmp_path, line.split("run: ")[1], "best.safetensors").is_file()
