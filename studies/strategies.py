"""Which named recipe is better than ``sgd-cosine`` in equal seconds? ResNet-20 at a reduced width.

Every recipe is tuned with the same number of trials on the same fixed subset of Fashion-MNIST as
the article's study; the budget is the wall clock, evaluations included. The family, declared here:
each recipe against ``sgd-cosine``, 6 comparisons, for which Holm's correction asks for 8 seeds;
``--only`` takes other strategies. Run it, stop it, run it again: ``python studies/strategies.py``,
on a machine with nothing else to do. The study lies in ``studies/strategies/study/``, and what it
found above it. Its ``lamb`` was one that adapted norms and biases too.
"""

import argparse
import dataclasses
from pathlib import Path

from skipwise.comparison import conclusion, headline
from skipwise.data import Dataset, find_data
from skipwise.experiment import compose
from skipwise.networks import resnet20
from skipwise.strategies import named_strategies
from skipwise.studies import Study, carry_on
from studies.article import SIZES, keep, subset

HERE = Path(__file__).with_suffix("")
BASELINE = "sgd-cosine"
RECIPES = ("sgd-onecycle", "sgdw-algoperf", "adamw-cosine", "nadamw-algoperf", "lamb", "muon")


def main() -> None:
    """Go on with the study, and keep what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--seeds", type=int, default=9)
    parser.add_argument("--trials", type=int, default=4, help="of tuning, for each recipe")
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="strategies with commas between them")
    parser.add_argument("--out", type=Path, default=HERE / "study")
    options = parser.parse_args()
    study, dataset = study_of(options)
    shown = carry_on(study, dataset, options.out, jobs=options.jobs)
    print("\n".join([headline(shown.comparison), *conclusion(shown.comparison)]))
    keep(options.out)


def study_of(options: argparse.Namespace) -> tuple[Study, Dataset]:
    """Declare the study."""
    path = options.out.parent / f"fashion-mnist-{sum(SIZES.values())}.npz"
    data = subset(find_data("fashion-mnist").load(), SIZES, path)
    makers = named_strategies()
    others = [name for name in options.only.split(",") if name] or RECIPES
    strategies = [makers[name]() for name in (BASELINE, *others)]
    network = dataclasses.replace(resnet20(), width=options.width)
    experiment, dataset = compose(
        data, network, strategies[0], seconds=options.seconds, augmentation=(), compile="off"
    )
    study = Study(
        experiment=experiment,
        networks=(network,),
        strategies=tuple(strategies),
        seeds=options.seeds,
        baseline=BASELINE,
        target=0.7,
        margin=0.5,
        trials=options.trials,
    )
    return study, dataset


if __name__ == "__main__":
    main()
