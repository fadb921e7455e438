"""``evaluate`` and ``predict``: what they say of a run, and what they refuse to score."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skipwise.data import Own, Shares
from skipwise.prediction import load
from skipwise.records import EvaluationRecord, read_journal
from tests.cli.commands import SMALL, call, fails

NONE = Shares(validation=0.0, test=0.0)  # is held out


def test_predict_prints_a_table_writes_csv_and_needs_no_training_data(
    capsys, pictures: str, tmp_path: Path
):
    call(capsys, "train", pictures, "--epochs", "15", "--out", "pets-run", *SMALL)
    weights = tmp_path / "moved.safetensors"
    Path("pets-run/best.safetensors").rename(weights)
    code, out, _ = call(
        capsys, "predict", str(weights), f"{pictures}/dog/3.png", f"{pictures}/cat", "--json"
    )
    assert code == 0
    found = json.loads(out)["predictions"]
    assert len(found) == 21
    assert [p["class"] for p in found] == ["dog"] + ["cat"] * 20
    assert all(sum(p["probabilities"].values()) == pytest.approx(1) for p in found)
    call(capsys, "predict", str(weights), f"{pictures}/dog", "--csv", "table.csv")
    rows = list(csv.DictReader(Path("table.csv").read_text().splitlines()))
    assert len(rows) == 20
    assert list(rows[0]) == ["file", "class", "probability", "cat", "dog"]
    assert all(float(r["probability"]) == max(float(r["cat"]), float(r["dog"])) for r in rows)
    _, out, _ = call(capsys, "predict", str(weights), f"{pictures}/dog/3.png")
    assert out.split()[1] == "dog"


def test_predict_names_a_bad_file_or_skips_it(capsys, pictures: str, rings: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "r", *SMALL)
    Path(pictures, "cat", "bad.png").write_bytes(b"nothing")
    assert "bad.png cannot be read as a picture" in fails(capsys, "predict", "r", pictures)
    code, out, err = call(capsys, "predict", "r", pictures, "--skip-bad", "--json")
    assert code == 0
    assert (len(json.loads(out)["predictions"]), json.loads(out)["skipped"]) == (40, 1)
    assert "skipped:" in err


def test_of_several_that_are_skipped_the_number_is_said_and_all_of_them_is_an_error(
    capsys, pictures: str
):
    call(capsys, "train", pictures, "--steps", "2", "--out", "r", *SMALL)
    bad = [str(Path(pictures, "cat", name)) for name in ("bad.png", "worse.png")]
    for name in bad:
        Path(name).write_bytes(b"nothing")
    code, out, err = call(capsys, "predict", "r", pictures, "--skip-bad")
    assert (code, len(out.splitlines())) == (0, 40)
    assert err.splitlines()[-1] == "skipwise: 2 of 42 files were skipped"
    told = fails(capsys, "predict", "r", *bad, "--skip-bad", "--csv", "table.csv")
    assert "nothing can be predicted: " in told
    assert "bad.png cannot be read as a picture" in told
    assert "and so on, 2 files in all; mend or replace them" in told
    assert "nothing can be predicted: " in fails(capsys, "predict", "r", bad[0], "--skip-bad")
    assert not Path("table.csv").exists()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused_by_number(capsys, rings: str, wrong: float):
    call(capsys, "train", rings, "--steps", "2", "--out", "run", *SMALL)
    predictor = load("run")
    x = np.random.default_rng(0).normal(size=(300, *predictor.card.inputs)).astype(np.float32)
    assert len(predictor.predict(x)) == 300
    x[270].flat[1] = wrong
    np.savez("wrong.npz", x=x)
    told = "input 270 holds NaN or infinity; mend or remove it"
    assert told in fails(capsys, "predict", "run", "wrong.npz")
    for refused in (predictor.predict, predictor.outputs):
        with pytest.raises(ValueError, match=told):
            refused(x)
    part = Own(dataset=[(torch.from_numpy(row), n % 2) for n, row in enumerate(x)], shares=NONE)
    with pytest.raises(ValueError, match=told):
        predictor.predict(part.load().train)


def test_evaluate_names_a_bad_file_or_skips_it(capsys, pictures: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "r", *SMALL)
    assert "--skip-bad is for data named" in fails(capsys, "evaluate", "r", "--skip-bad")
    Path(pictures, "cat", "bad.png").write_bytes(b"nothing")
    assert "bad.png cannot be read as a picture" in fails(capsys, "evaluate", "r", pictures)
    code, out, err = call(capsys, "evaluate", "r", pictures, "--skip-bad", "--json")
    assert (code, json.loads(out)["examples"]) == (0, 40)
    assert err.startswith(f"1 file that cannot be read was skipped: {pictures}/cat/bad.png\n")
    Path(pictures, "cat", "bad.png").unlink()
    _, _, err = call(capsys, "evaluate", "r", pictures)
    assert "these are the data of the training, so most examples were learned from" in err


def test_evaluate_takes_fields_of_the_data(capsys, pictures: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "r", *SMALL)
    rows = "".join(f"{p},{p.parent.name}\n" for p in sorted(Path(pictures).rglob("*.png"))[:30])
    Path("list.csv").write_text("path,kind\n" + rows)
    words = ("evaluate", "r", "list.csv", "--json", "--set")
    code, out, _ = call(capsys, *words, "data.label_column=kind")
    assert (code, json.loads(out)["examples"]) == (0, 30)
    assert "--set is of the data here" in fails(capsys, *words, "strategy.peak_lr=1")
    assert "--set is for data named" in fails(capsys, "evaluate", "r", "--set", "data.size=8")


def test_a_folder_of_other_sizes_is_evaluated_whole_at_the_networks_size(capsys, pictures: str):
    call(capsys, "train", pictures, "--epochs", "15", "--out", "pets-run", *SMALL)
    for path in Path(pictures).rglob("*.png"):
        Image.open(path).resize((30, 40)).save(path)
    code, out, err = call(capsys, "evaluate", "pets-run", pictures, "--json")
    assert code == 0, err
    assert json.loads(out).items() >= {"examples": 40, "part": "all", "accuracy": 1.0}.items()


def test_a_changed_folder_is_not_scored_as_if_its_test_part_were_the_same(capsys, pictures: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "pets-run", *SMALL)
    assert call(capsys, "evaluate", "pets-run")[0] == 0
    next(Path(pictures).rglob("*.png")).unlink()
    err = fails(capsys, "evaluate", "pets-run")
    assert "what is held out now may have been trained on" in err
    assert call(capsys, "evaluate", "pets-run", pictures)[0] == 0


def test_a_run_is_used_from_another_folder(capsys, pictures: str, monkeypatch, tmp_path: Path):
    name = Path(pictures).name
    call(capsys, "train", name, "--steps", "2", "--out", "pets-run", *SMALL)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call(capsys, "evaluate", str(tmp_path / "pets-run"))[0] == 0


def test_numbers_are_predicted_for_picture_files(capsys, pictures: str, tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
    np.savez("bright.npz", x=x, y=x.mean((1, 2, 3)) / 255)
    code, _, err = call(
        capsys, "train", "bright.npz", "--network", "resnet20", "--out", "run", *SMALL
    )
    assert code == 0, err
    assert "adam" in Path("run/experiment.yaml").read_text()
    code, out, err = call(capsys, "predict", "run", pictures, "--json")
    assert code == 0, err
    rows = json.loads(out)["predictions"]
    assert len(rows) == 40
    file = str(next(Path(pictures).rglob("*.png")))
    wanted = load("run").outputs(
        torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None]
    )
    assert {row["file"]: row["output_0"] for row in rows}[file] == pytest.approx(
        float(wanted), abs=1e-5
    )


def test_pictures_in_0_to_1_are_refused_where_255_was_the_white(capsys, pictures: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "run", *SMALL)
    with pytest.raises(ValueError, match="lie in 0 … 1, and the network was trained on 0 … 255"):
        load("run").predict(torch.rand(2, 3, 12, 12))
    assert load("run").predict(torch.zeros(1, 3, 12, 12))  # black is black in either


def test_open_pictures_are_predicted_like_their_files_and_the_rest_is_refused(
    capsys, pictures: str
):
    call(capsys, "train", pictures, "--steps", "2", "--out", "run", *SMALL)
    predictor, file = load("run"), f"{pictures}/dog/3.png"
    with Image.open(file) as image:
        upright = image.copy()
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6  # which a viewer turns back by 90 degrees
    turned.save("turned.png", exif=exif)
    wanted = predictor.predict(file)[0]
    with Image.open("turned.png") as image:
        before = image.tobytes()
        found = predictor.predict([image, file, upright.convert("RGBA")])
        assert image.tobytes() == before
    assert [p.source for p in found] == ["0", file, "2"]
    assert all(p.probabilities == pytest.approx(wanted.probabilities) for p in found)
    assert predictor.predict(upright)[0].label == wanted.label
    wrong: tuple[Any, ...] = ([np.zeros((12, 12, 3), np.uint8)], [upright, 3], 3)
    for stray in wrong:
        with pytest.raises(TypeError, match="predict takes picture files, pictures of Pillow"):
            predictor.predict(stray)


def test_a_network_of_floating_point_pictures_reads_no_files_and_no_bytes(
    capsys, pictures: str, tmp_path: Path
):
    noise = np.random.default_rng(0)
    x, y = noise.random((40, 3, 8, 8), np.float32), np.arange(40) % 2
    np.savez("floats.npz", x=x, y=y)
    np.savez("bytes.npz", x=(255 * x).astype(np.uint8), y=y)
    call(capsys, "train", "floats.npz", "--steps", "2", "--out", "floats", *SMALL)
    told = fails(capsys, "predict", "floats", f"{pictures}/cat/0.png")
    assert "reads examples of floating point of shape (3, 8, 8), not picture files" in told
    assert "trained on floating point numbers" in fails(capsys, "evaluate", "floats", "bytes.npz")
    assert "trained on floating point numbers" in fails(capsys, "predict", "floats", "bytes.npz")
    call(capsys, "train", "bytes.npz", "--steps", "2", "--out", "bytes", *SMALL)
    assert "lie in 0 … 1" in fails(capsys, "evaluate", "bytes", "floats.npz")
    assert "lie in 0 … 1" in fails(capsys, "predict", "bytes", "floats.npz")


def test_the_validation_part_scores_as_the_best_evaluation_of_the_training(capsys, rings: str):
    call(capsys, "train", rings, "--epochs", "5", "--out", "run", *SMALL)
    code, out, err = call(capsys, "evaluate", "run", "--part", "validation", "--json")
    assert code == 0, err
    journal = read_journal(Path("run/metrics.jsonl"))
    seen = [e for e in journal if isinstance(e, EvaluationRecord) and e.part == "validation"]
    best = max(seen, key=lambda e: (e.metrics["accuracy"], -e.metrics["loss"]))
    named = {"part": "validation", "examples": best.examples}
    assert len(seen) == 5
    assert json.loads(out).items() >= {**best.metrics, **named}.items()


def test_predictions_are_averaged_over_views(capsys, pictures: str):
    call(capsys, "train", pictures, "--steps", "8", "--out", "run", *SMALL)
    file = f"{pictures}/dog/3.png"
    predictor = load("run")
    x = predictor.preprocessing(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None])
    with torch.no_grad():
        one, mirrored = predictor.model(x), predictor.model(x.flip(3))
    for views, outputs in (("none", one), ("flip", (one + mirrored) / 2)):
        code, out, err = call(capsys, "predict", "run", file, "--views", views, "--json")
        assert code == 0, err
        (found,) = json.loads(out)["predictions"]
        cat, dog = outputs.softmax(1)[0].tolist()
        assert found["probabilities"] == pytest.approx({"cat": cat, "dog": dog}, abs=1e-6)
