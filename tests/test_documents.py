"""What the documents say is true: the README's lines run, its tree and the table are complete."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.test_architecture import FILES, MAY_IMPORT

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_ten_lines_of_the_readme_work(capsys: pytest.CaptureFixture[str]):
    lines = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert lines is not None
    with torch.random.fork_rng():
        exec(compile(lines[1], "README.md", "exec"), names := {})
    accuracy, path = capsys.readouterr().out.splitlines()[0].split()
    assert float(accuracy) > 0.9
    assert Path(path, "best.safetensors").is_file()
    assert isinstance(names["block"], torch.nn.Module)


def test_the_tree_of_the_readme_names_every_file():
    tree = README[README.index("## The tree") :]
    named = Counter(re.findall(r"\w+\.py\b", tree))
    there = Counter(path.name for path in FILES if "__" not in path.stem)
    missing = {name: count for name, count in there.items() if named[name] < count}
    assert not missing


def test_the_table_of_the_architecture_names_every_part_and_what_it_may_import():
    table = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE)
    said = {part: row for names, row in rows for part in re.findall(r"`(\w+)`", names)}
    assert set(said) == set(MAY_IMPORT)
    for part, row in said.items():
        if part not in ("cli", "records", "shapes", "randomness", "description", "files", "layers"):
            words = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", row)))
            assert words == MAY_IMPORT[part], part


def test_the_version_is_one():
    import skipwise

    assert f'version = "{skipwise.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {skipwise.__version__}" in (ROOT / "CHANGELOG.md").read_text()
