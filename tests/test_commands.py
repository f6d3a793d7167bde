"""Commands that fit and use models: files in, files out."""

import json

import numpy as np
import pandas as pd
import pytest

from sktext_vq import load
from sktext_vq.__main__ import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory, basic_motions):
    """A folder with series of three classes of four to fit to, and a model of these."""
    folder = tmp_path_factory.mktemp("commands")
    data = basic_motions
    recorded = data.y_train != "walking"
    np.savez(
        folder / "motions.npz",
        X_train=data.X_train[recorded],
        y_train=data.y_train[recorded],
        X_test=data.X_test,
        y_test=data.y_test,
        channel_names=np.array(data.channel_names),
        sampling_rate=data.sampling_rate,
    )
    code = main(
        [
            *("fit", f"{folder}/motions.npz", "--model", f"{folder}/model"),
            *("--epochs", "0", "--quiet"),
        ]
    )
    assert code == 0
    return folder


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out, err


def failure(capsys, *words):
    assert main([str(word) for word in words]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"sktext_vq {words[0]}: ") and err.count("\n") == 1
    return err


def test_fit_takes_what_the_file_knows(folder):
    model = load(folder / "model")
    assert model.classes_.tolist() == ["badminton", "running", "standing"]
    assert model.channel_names_[0] == "acc_x" and model.sampling_rate == 10
    assert model.channel_groups_ == {"acc": (0, 1, 2), "gyro": (3, 4, 5)}


def test_fit_tells_what_it_did(folder, basic_motions, tmp_path, capsys):
    X = basic_motions.X_train[::4, 0, :30]
    table = pd.DataFrame(X).assign(kind=basic_motions.y_train[::4])
    table["subject"] = [1, 2] * 5
    table.to_csv(tmp_path / "wide.csv", index=False)
    out, err = run(
        capsys,
        *("fit", tmp_path / "wide.csv", "--model", tmp_path / "model"),
        *("--label-column", "kind", "--epochs", 1, "--text-encoder", "hashing"),
        *("--channel-names", "acceleration", "--sampling-rate", 10, "--codes", 16),
    )
    assert not err
    assert "10 series of 1 channels and up to 30 timepoints" in out
    assert "badminton (2)" in out and "groups: 2" in out
    assert "trained with text" in out
    model = load(tmp_path / "model")
    assert model.channel_names_ == ["acceleration"] and model.n_codes == 16


def test_predict_writes_classes_and_probabilities(folder, basic_motions, capsys):
    words = "predict", folder / "motions.npz", "--model", folder / "model"
    out, err = run(capsys, *words, "--output", folder / "found.csv")
    assert not out
    table = pd.read_csv(folder / "found.csv")
    expected = load(folder / "model").predict_proba(basic_motions.X_test)
    columns = [f"probability of {c}" for c in ("badminton", "running", "standing")]
    np.testing.assert_allclose(table[columns], expected)
    right = (table["label"] == basic_motions.y_test).mean()
    assert f"{right:.1%} of 40 labels of the file found" in err
    out, _ = run(capsys, *words)
    assert out == (folder / "found.csv").read_text()
    out, _ = run(capsys, *words, "--json", "--quiet")
    assert [row["label"] for row in json.loads(out)] == table["label"].tolist()


def test_predict_explains(folder, basic_motions, capsys):
    words = "predict", folder / "few.npz", "--model", folder / "model", "--explain"
    X = basic_motions.X_test[[0, 15]]
    np.savez(folder / "few.npz", X=X)
    model = load(folder / "model")
    out, err = run(capsys, *words, "--output", folder / "why.csv", "--top", 3)
    assert not out and "written to" in err
    table = pd.read_csv(folder / "why.csv")
    expected = model.explain(X)
    for case, rows in expected.groupby("case"):
        own = table[table["case"] == case]
        assert set(own["label"]) == {model.predict(X)[case]}
        assert own["contribution"].sum() == pytest.approx(rows["contribution"].sum())
        top = rows.loc[rows["contribution"].abs().nlargest(3).index]
        assert own["phrase"].tolist()[-1] == "all else" and len(own) == 4
        assert set(own["phrase"][:3]) == set(top["phrase"])
        placed, at = own.dropna(subset="code"), top[top["code"] >= 0]
        assert sorted(placed["start"]) == sorted(at["start"])
        names = [model.channel_names_[channel] for channel in at["channel"]]
        assert sorted(placed["channel"]) == sorted(names)
    out, _ = run(capsys, *words, "--against", "running", "--json", "--quiet")
    rows = json.loads(out)
    assert {row["against"] for row in rows if row["case"] == 0} == {"running"}
    assert [row["start"] for row in rows if row["phrase"] == "all else"] == [None] * 2
    assert all(isinstance(row["code"], int) for row in rows if row["start"] is not None)
    assert "'sitting' is no class" in failure(capsys, *words, "--against", "sitting")
    assert "needs --explain" in failure(capsys, *words[:-1], "--against", "running")


def test_predict_says_which_labels_the_model_does_not_know(folder, capsys):
    words = "predict", folder / "motions.npz", "--model", folder / "model"
    _, err = run(capsys, *words)
    assert "10 series are of classes that the model does not know: walking" in err
    _, err = run(capsys, *words, "--quiet")
    assert not err


def test_names_of_cases_are_those_of_the_file(folder, basic_motions, capsys):
    case = basic_motions.X_test[0].T
    table = pd.DataFrame(case, columns=list(basic_motions.channel_names))
    table.insert(0, "case", "trial 7")
    table.to_csv(folder / "one.csv", index=False)
    out, err = run(capsys, "predict", folder / "one.csv", "--model", folder / "model")
    assert out.splitlines()[1].startswith("trial 7,")
    assert not err


def test_columns_of_a_table_may_have_any_names_and_order(
    folder, basic_motions, tmp_path, capsys
):
    X, names = basic_motions.X_test[:4], list(basic_motions.channel_names)
    table = pd.DataFrame(X.transpose(0, 2, 1).reshape(-1, 6), columns=names)[
        names[::-1]
    ]
    table["take"], table["mass"] = np.repeat(np.arange(4), X.shape[2]), 70.5
    table["activity"] = np.repeat(basic_motions.y_test[:4], X.shape[2])
    table.to_csv(tmp_path / "new.csv", index=False)
    words = "predict", tmp_path / "new.csv", "--model", folder / "model", "--json"
    words = *words, "--case-column", "take", "--label-column", "activity"
    out, err = run(capsys, *words)
    expected = load(folder / "model").predict_proba(X).max(axis=1)
    found = [row["probability"] for row in json.loads(out)]
    np.testing.assert_allclose(found, expected)
    assert "channels that the model does not know: mass" in err
    table.drop(columns="gyro_x").to_csv(tmp_path / "new.csv", index=False)
    assert "has no channels ['gyro_x'], which the model" in failure(capsys, *words)


def test_a_training_file_is_read_as_the_other_one_is(
    folder, basic_motions, tmp_path, capsys
):
    X, names = basic_motions.X_test[:4], list(basic_motions.channel_names)
    table = pd.DataFrame(X.transpose(0, 2, 1).reshape(-1, 6), columns=names)
    table["take"] = np.repeat(np.arange(4), X.shape[2])
    table["activity"] = np.repeat(basic_motions.y_test[:4], X.shape[2])
    table.to_csv(tmp_path / "new.csv", index=False)
    table[table.columns[::-1]].to_csv(tmp_path / "old.csv", index=False)
    words = "report", tmp_path / "new.csv", "--model", folder / "model"
    words = *words, "--case-column", "take", "--label-column", "activity"
    page = tmp_path / "page.html"
    run(capsys, *words, "--output", page, "--training", tmp_path / "old.csv")
    assert "trained on: " in page.read_text(encoding="utf-8")


def test_zero_shot_finds_a_class_without_recordings_and_says_why(
    folder, basic_motions, capsys
):
    words = "zero-shot", folder / "motions.npz", "--model", folder / "model"
    labels = "badminton, running, standing, walking"
    out, err = run(capsys, *words, "--labels", labels, "--output", folder / "new.csv")
    assert not out
    assert "walking: not recorded; takes after" in err
    assert "A person is walking on level ground." in err
    assert "standing: recorded" in err
    table = pd.read_csv(folder / "new.csv")
    assert (table["label"] == basic_motions.y_test).mean() > 0.6
    right = table["label"] == basic_motions.y_test
    assert f"{right.mean():.1%} of 40 labels of the file found" in err
    n_new = right[basic_motions.y_test == "walking"].sum()
    assert f"of walking, not recorded: {n_new} of 10" in err
    assert "no candidates" not in err
    new = table[table["label"] == "walking"]
    assert len(new) and new["reasons"].str.contains("series and text are ").all()
    known = table[table["label"] == "standing"]
    assert known["reasons"].str.contains("recorded").all()
    out, err = run(capsys, *words, "--labels", labels, "--json", "--quiet")
    assert not err
    found = json.loads(out)
    assert [row["label"] for row in found["cases"]] == table["label"].tolist()
    assert found["candidates"][3]["candidate"] == "walking"
    _, err = run(capsys, *words, "--labels", "standing, walking")
    assert "20 series are of classes that are no candidates: badminton, running" in err


def test_zero_shot_takes_own_texts(folder, capsys):
    path = folder / "texts.json"
    path.write_text(json.dumps({"gait": ["a person walks", "to walk slowly"]}))
    words = "zero-shot", folder / "motions.npz", "--model", folder / "model"
    out, err = run(capsys, *words, "--texts", path)
    assert "to walk slowly" in err
    assert ",gait,1.0" in out
    assert "texts about ['gait']" in failure(
        capsys, *words, "--texts", path, "--labels", "running"
    )
    # A name without an own text has those of the bank.
    _, err = run(capsys, *words, "--texts", path, "--labels", "gait, jumping rope")
    assert "A person jumps over a rope." in err
    path.write_text("[1]")
    assert "JSON object" in failure(capsys, *words, "--texts", path)
    assert "no candidates" in failure(capsys, *words, "--labels", " , ")


def test_report_is_written(folder, capsys):
    words = "report", folder / "motions.npz", "--model", folder / "model"
    out, _ = run(capsys, *words, "--output", folder / "page.html")
    assert "page.html" in out
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "badminton" in page and "no training series were given" in page
    # Training series of the same file.
    words = *words, "--training", folder / "motions.npz", "--output"
    run(capsys, *words, folder / "page.html")
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "no training series were given" not in page and "trained on: " not in page


def test_failures_say_what_to_do(folder, basic_motions, capsys):
    data, model = folder / "motions.npz", folder / "model"
    assert "no file" in failure(capsys, "predict", folder / "no.npz", "--model", model)
    assert "not a model" in failure(capsys, "predict", data, "--model", data)
    assert "does not exist" in failure(
        capsys, "fit", data, "--model", folder / "no" / "model"
    )
    np.savez(folder / "few.npz", X=basic_motions.X_test[:, :2])
    assert "2 channels" in failure(
        capsys, "predict", folder / "few.npz", "--model", model
    )
    assert "no labels" in failure(
        capsys, "fit", folder / "few.npz", "--model", folder / "new"
    )
    assert "no labels" in failure(
        capsys, "report", folder / "few.npz", "--model", model, "--output", "p.html"
    )
    assert not (folder / "new").exists()
    words = "predict", data, "--model", model, "--output"
    assert "must end in .csv" in failure(capsys, *words, folder / "table.xlsx")
    assert "does not exist" in failure(capsys, *words, folder / "no" / "table.csv")


def test_help_tells_which_files_are_read(capsys):
    for command in ("fit", "predict", "report", "zero-shot"):
        with pytest.raises(SystemExit) as exit:
            main([command, "--help"])
        assert exit.value.code == 0
        out = capsys.readouterr().out
        assert "wide  a row per case" in out
        assert max(map(len, out.splitlines())) <= 88
