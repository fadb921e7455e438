"""What do the named strategies reach in equal seconds? ResNet-20, each against ``sgd-cosine``.

Every strategy as it is named, nothing tuned, on a fixed subset of Fashion-MNIST; the budget is the
wall clock, so a strategy with two gradients a step gets half of the steps. Left out: ``lbfgs``, for
small problems, and ``finetuning``, for weights that were trained before. Run it, stop it, run it
again: ``python studies/strategies.py --seconds 180``. It writes ``studies/strategies/table.md``;
the study itself lies in the folder that ``--out`` names.
"""

import argparse
import dataclasses
from pathlib import Path

import torch

from skipwise.comparison import conclusion, headline
from skipwise.data import find_data
from skipwise.experiment import compose
from skipwise.networks import resnet20
from skipwise.strategies import named_strategies
from skipwise.studies import Study, carry_on
from studies.article import subset

TABLE = Path(__file__).with_suffix("") / "table.md"
SIZES = {"train": 20_000, "val": 1_000, "test": 5_000}
LEFT_OUT = ("lbfgs", "finetuning")
BASELINE = "sgd-cosine"


def main() -> None:
    """Go on with the study, and write what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="names with commas between them; else all")
    parser.add_argument("--out", type=Path, default=TABLE.parent / "study")
    options = parser.parse_args()
    data = subset(
        find_data("fashion-mnist").load(), SIZES, options.out.parent / "fashion-mnist-26000.npz"
    )
    makers = named_strategies()
    names = options.only.split(",") if options.only else [n for n in makers if n not in LEFT_OUT]
    names = [BASELINE, *(name for name in names if name != BASELINE)]
    network = dataclasses.replace(resnet20(), width=options.width)
    experiment, dataset = compose(data, network, makers[BASELINE](), seconds=options.seconds)
    study = Study(
        experiment=experiment,
        networks=(network,),
        strategies=tuple(makers[name]() for name in names),
        seeds=options.seeds,
        baseline=BASELINE,
    )
    shown = carry_on(study, dataset, options.out, jobs=options.jobs, report=False)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    found = (options.out / "comparison.md").read_text(encoding="utf-8")
    TABLE.write_text(table(found, options), encoding="utf-8")
    print("\n".join([headline(shown.comparison), *conclusion(shown.comparison)]))


def table(found: str, options: argparse.Namespace) -> str:
    """Put above what the study found how it was found."""
    words = f"--seconds {options.seconds:g} --seeds {options.seeds} --width {options.width}"
    return (
        f"Made by `python studies/strategies.py {words} --jobs {options.jobs}`: ResNet-20 of width"
        f" {options.width} on {SIZES['train']:,} pictures of Fashion-MNIST, {options.seconds:g}"
        f" seconds of {options.jobs} jobs at a time, {torch.get_num_threads()} cores.\n\n{found}"
    )


if __name__ == "__main__":
    main()
