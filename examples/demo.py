"""ResNet-20 and the plain network of the same depth on scikit-learn's digits, side by side.

Run by ``make demo``: about a minute of training on two cores, nothing is downloaded. The two
networks have the same layers, the same 269,434 parameters, the same initial weights and the same
batches; the plain one lacks the sum y = F(x) + x.
"""

import dataclasses
import tempfile
from pathlib import Path

from skipwise.connections import Plain
from skipwise.experiment import compose
from skipwise.networks import resnet20
from skipwise.progress import watch
from skipwise.runs import begin, record_of

EPOCHS = 30


def main() -> None:
    """Train both, print both scores and where the runs lie."""
    out = Path(tempfile.mkdtemp(prefix="demo-", dir=_runs()))
    residual = resnet20()
    plain = dataclasses.replace(residual, name="plain20", connection=Plain())
    records = []
    for network in (residual, plain):
        print(f"{network.name}, {EPOCHS} epochs")
        experiment, dataset = compose("digits", network, epochs=EPOCHS)
        session = begin(experiment, dataset, out / network.name)
        watch(session)
        records.append(record_of(session))
    for record in records:
        assert record.test is not None
        accuracy, seconds = record.test.metrics["accuracy"], record.train_seconds
        print(
            f"{record.network:<9} test accuracy {accuracy:.2%}  ({seconds:.0f} s)  "
            f"run: {record.path}"
        )
    print(f"use it:   .venv/bin/skipwise evaluate {records[0].path}")


def _runs() -> Path:
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    return runs


if __name__ == "__main__":
    main()
