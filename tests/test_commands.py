"""Commands that fit and use models."""

import io
import json
import os
import signal
import sys

import numpy as np
import pandas as pd
import pytest

from sktext_vq import VQTextClassifier, load, save
from sktext_vq.__main__ import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory, basic_motions):
    """Return a folder with series of three classes and a model of these classes."""
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
    n_right = (table["label"] == basic_motions.y_test).sum()
    assert f"accuracy: {100 * right:.1f} % ({n_right} of 40)" in err
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
        assert own["phrase"].tolist()[-1] == "remainder" and len(own) == 4
        assert set(own["phrase"][:3]) == set(top["phrase"])
        placed, at = own.dropna(subset="code"), top[top["code"] >= 0]
        assert sorted(placed["start"]) == sorted(at["start"])
        names = [model.channel_names_[channel] for channel in at["channel"]]
        assert sorted(placed["channel"]) == sorted(names)
    out, _ = run(capsys, *words, "--against", "running", "--json", "--quiet")
    rows = json.loads(out)
    assert {row["against"] for row in rows if row["case"] == 0} == {"running"}
    assert [row["start"] for row in rows if row["phrase"] == "remainder"] == [None] * 2
    assert all(isinstance(row["code"], int) for row in rows if row["start"] is not None)
    assert "must be a class of the model, got 'sitting'" in failure(
        capsys, *words, "--against", "sitting"
    )
    assert "requires --explain" in failure(capsys, *words[:-1], "--against", "running")


def test_predict_reports_unknown_labels(folder, capsys):
    words = "predict", folder / "motions.npz", "--model", folder / "model"
    _, err = run(capsys, *words)
    assert "10 series have labels that are not in the training data: walking" in err
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
    assert "channels not used by the model: mass" in err
    table.drop(columns="gyro_x").to_csv(tmp_path / "new.csv", index=False)
    assert "channels required by the model: ['gyro_x']" in failure(capsys, *words)


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
    assert "used in training: " in page.read_text(encoding="utf-8")


def test_zero_shot_finds_an_unseen_class_with_reasons(folder, basic_motions, capsys):
    words = "zero-shot", folder / "motions.npz", "--model", folder / "model"
    labels = "badminton, running, standing, walking"
    out, err = run(capsys, *words, "--labels", labels, "--output", folder / "new.csv")
    assert not out
    assert "walking: unseen class, similar to" in err
    assert "A person is walking on level ground." in err
    assert "standing: training class" in err
    table = pd.read_csv(folder / "new.csv")
    assert (table["label"] == basic_motions.y_test).mean() > 0.6
    right = table["label"] == basic_motions.y_test
    assert f"accuracy: {100 * right.mean():.1f} % ({right.sum()} of 40)" in err
    new = right[basic_motions.y_test == "walking"]
    share = f"{100 * new.mean():.1f} % ({new.sum()} of 10)"
    assert f"accuracy on walking (unseen): {share}" in err
    assert "among the candidates" not in err
    new = table[table["label"] == "walking"]
    assert len(new) and new["reasons"].str.contains("series and text are ").all()
    known = table[table["label"] == "standing"]
    assert known["reasons"].str.contains("training class").all()
    out, err = run(capsys, *words, "--labels", labels, "--json", "--quiet")
    assert not err
    found = json.loads(out)
    assert [row["label"] for row in found["cases"]] == table["label"].tolist()
    assert found["candidates"][3]["candidate"] == "walking"
    _, err = run(capsys, *words, "--labels", "standing, walking")
    assert (
        "20 series have labels that are not among the candidates: badminton, running"
        in err
    )


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
    # A name without a user-defined text has the texts of the bank.
    _, err = run(capsys, *words, "--texts", path, "--labels", "gait, jumping rope")
    assert "A person jumps over a rope." in err
    path.write_text("[1]")
    assert "JSON object" in failure(capsys, *words, "--texts", path)
    assert "No candidates" in failure(capsys, *words, "--labels", " , ")


def test_report_is_written(folder, tmp_path, capsys):
    few = tmp_path / "few.npz"
    with np.load(folder / "motions.npz") as found:
        parts = dict(found)
    for part in ("X_test", "y_test"):
        parts[part] = parts[part][::8]
    np.savez(few, **parts)
    words = "report", few, "--model", folder / "model"
    out, _ = run(capsys, *words, "--output", folder / "page.html")
    assert "page.html" in out
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "badminton" in page and "No training series were given" in page
    # The training series are in the same file.
    words = *words, "--training", few, "--output"
    run(capsys, *words, folder / "page.html")
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "No training series" not in page and "used in training: " not in page


def test_failures_say_what_to_do(folder, basic_motions, capsys):
    data, model = folder / "motions.npz", folder / "model"
    missing = folder / "no.npz"
    assert "does not exist" in failure(capsys, "predict", missing, "--model", model)
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
    assert "extension .csv or .parquet" in failure(
        capsys, *words, folder / "table.xlsx"
    )
    assert "does not exist" in failure(capsys, *words, folder / "no" / "table.csv")


def test_help_tells_which_files_are_read(capsys):
    for command in ("fit", "predict", "report", "zero-shot"):
        with pytest.raises(SystemExit) as exit:
            main([command, "--help"])
        assert exit.value.code == 0
        out = capsys.readouterr().out
        assert "wide  one row per case" in out
        assert max(map(len, out.splitlines())) <= 88


# Simulated series with two channels, one of which depends on the class


def series(labels, seed=0):
    rng = np.random.default_rng(seed)
    speed = np.unique(labels, return_inverse=True)[1]
    X = rng.normal(size=(len(labels), 2, 40))
    X[:, 0] = np.sin(np.arange(40) / (2 + 2 * speed[:, None])) + 0.1 * X[:, 0]
    return X


def write_csv(path, labels, channels=("tone", "noise"), order=(0, 1)):
    X = series(labels)[:, order]
    rows = X.transpose(0, 2, 1).reshape(-1, 2)
    table = pd.DataFrame(rows, columns=list(channels))
    table["case"] = [f"take {i}" for i in range(len(labels)) for _ in range(40)]
    table["time"] = list(range(40)) * len(labels)
    table["label"] = np.repeat(labels, 40)
    table.to_csv(path, index=False)
    return path


def fit_toy(folder, labels, **params):
    params = {"channel_names": ["tone", "noise"]} | params
    model = VQTextClassifier(
        16, max_epochs=0, max_features=100, random_state=0, **params
    )
    path = folder / "toy.safetensors"
    save(model.fit(series(labels), labels), path)
    return path


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Return a folder with a table and a model of two classes."""
    folder = tmp_path_factory.mktemp("toy")
    labels = np.array(["slow", "fast"] * 6)
    write_csv(folder / "toy.csv", labels)
    fit_toy(folder, labels)
    return folder


@pytest.mark.parametrize("command", ["predict", "zero-shot", "report", "fit"])
def test_outputs_never_replace_inputs(command, toy, capsys):
    data, model, texts = (toy / name for name in ("toy.csv", "toy.safetensors", "t.js"))
    texts.write_text('{"slow": "it is slow", "fast": "it is fast"}')
    (toy / "folder").mkdir(exist_ok=True)
    words = [command, data]
    outputs = [data]
    if command == "fit":
        words += ["--epochs", 0, "--texts", texts, "--model"]
        outputs += [texts]
    else:
        words += ["--model", model]
        words += ["--texts", texts] if command == "zero-shot" else []
        words += ["--training", texts] if command == "report" else []
        words += [] if command == "report" else ["--json"]
        words += ["--output"]
        outputs += [model] + ([] if command == "predict" else [texts])
    before = {path: path.read_bytes() for path in (data, model, texts)}
    for output in outputs:
        hard, soft = toy / "hard", toy / "soft"
        for link in (hard, soft):
            link.unlink(missing_ok=True)
        os.link(output, hard)
        soft.symlink_to(output)
        for spelled in (output, toy / "folder" / ".." / output.name, hard, soft):
            assert "same file as" in failure(capsys, *words, spelled)
    assert before == {path: path.read_bytes() for path in before}


def test_json_has_no_nan(toy, capsys):
    def refuse(constant):
        raise AssertionError(constant)

    words = "--model", toy / "toy.safetensors", "--json", "--quiet"
    out, _ = run(capsys, "predict", toy / "toy.csv", *words, "--explain")
    rows = json.loads(out, parse_constant=refuse)
    assert None in [row["channel"] for row in rows]
    labels = "--labels", "slow,fast,standing"
    out, _ = run(capsys, "zero-shot", toy / "toy.csv", *words, *labels)
    assert len(json.loads(out, parse_constant=refuse)["cases"]) == 12


def test_output_has_all_rows_in_any_encoding(tmp_path, monkeypatch):
    labels = np.array(["\uac77\uae30 \U0001f6b6", "\ub6f0\uae30"] * 6)
    data, model = write_csv(tmp_path / "a.csv", labels), fit_toy(tmp_path, labels)
    for words, n_lines in (([], 13), (["--json"], None)):
        streams = [io.TextIOWrapper(io.BytesIO(), "cp1252") for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        assert main(["predict", str(data), "--model", str(model), *words]) == 0
        out = streams[0].buffer.getvalue()
        assert streams[0].errors == "strict"
        if n_lines:
            assert out.count(b"\n") == n_lines and rb"\uac77\uae30" in out
        else:
            assert {row["label"] for row in json.loads(out)} == set(labels.tolist())


def test_channels_are_found_by_names_that_differ_in_case(toy, tmp_path, capsys):
    labels = np.array(["slow", "fast"] * 6)
    words = "--model", toy / "toy.safetensors", "--json"
    data = write_csv(tmp_path / "a.csv", labels, ("Noise", "TONE"), (1, 0))
    out, err = run(capsys, "predict", data, *words)
    assert [row["label"] for row in json.loads(out)] == labels.tolist()
    assert "channels" not in err
    data = write_csv(tmp_path / "b.csv", labels, ("Noise", "sound"))
    for command in ("predict", "zero-shot", "report"):
        given = words[:2] if command == "report" else words
        output = "--output", tmp_path / "out"
        err = failure(capsys, command, data, *given, *output)
        assert "required by the model: ['tone']" in err and "sound" in err
    data = write_csv(tmp_path / "c.csv", labels, ("a", "b"))
    _, err = run(capsys, "predict", data, *words)
    assert "a as tone, b as noise" in err


@pytest.fixture
def ctrl_c():
    """Handle SIGINT as in the foreground; shells ignore it in the background."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("ctrl_c")
def test_interrupted_fit_leaves_the_former_model(toy, monkeypatch, capsys):
    def fit(self, *args, **kwargs):
        try:  # as in training
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return self

    monkeypatch.setattr(VQTextClassifier, "fit", fit)
    before = (toy / "toy.safetensors").read_bytes()
    words = "fit", str(toy / "toy.csv"), "--model", str(toy / "toy.safetensors")
    assert main(words) == 130
    assert capsys.readouterr() == ("", "sktext_vq fit: interrupted\n")
    assert (toy / "toy.safetensors").read_bytes() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_target_that_cannot_be_written_is_found_first(toy, monkeypatch, capsys):
    monkeypatch.setattr(VQTextClassifier, "fit", None)
    failure(capsys, "fit", toy / "toy.csv", "--model", toy / ("m" * 300))


def test_terminals_get_no_control_characters(tmp_path, monkeypatch, capsys):
    labels = np.array(["\x1b[31mred", "b\u202elue\x9b"] * 6)
    names = ("x\x1b]0;title\x07", "y")
    data = write_csv(tmp_path / "a.csv", labels, names)
    model = tmp_path / "model"
    words = "--codes", 16, "--epochs", 0, "--text-encoder", "hashing"
    texts = run(capsys, "fit", data, "--model", model, *words)
    assert r"\x1b[31mred (6)" in texts[0]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    texts += run(capsys, "zero-shot", data, "--model", model, "--labels", "c\x1bd")
    for option in ([], ["--json"], ["--explain"]):
        texts += run(capsys, "predict", data, "--model", model, *option)
    write_csv(tmp_path / "b.csv", labels, ("\x1b", "z"))
    texts += run(capsys, "predict", tmp_path / "b.csv", "--model", model)
    assert not [text for text in texts if set(text) & set("\x1b\x07\x9b\u202e")]


def test_warnings_are_lines_of_their_own(toy, monkeypatch, capsys):
    data = toy / "other.npz"
    np.savez(data, X=1e3 * series(["a", "b"] * 6))
    words = "predict", data, "--model", toy / "toy.safetensors", "--json"
    _, err = run(capsys, *words)
    assert err.startswith("warning: ") and ".py" not in err
    assert not run(capsys, *words, "--quiet")[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "brackets that are nested too deeply"),
        ('{"slow": "a", "fast": "b", "slow": "c"}', "'slow' occurs more than once"),
    ],
)
def test_invalid_json_files(text, message, toy, capsys):
    (toy / "texts.json").write_text(text)
    words = "--model", toy / "new", "--texts", toy / "texts.json"
    assert message in failure(capsys, "fit", toy / "toy.csv", *words)


@pytest.mark.parametrize(
    "option",
    [
        *("--codes=1000000000", "--codes=1", "--codes=many", "--epochs=-1"),
        *("--sampling-rate=0", "--sampling-rate=inf", "--sampling-rate=nan"),
    ],
)
def test_numbers_out_of_range_are_invalid_usage(option, toy, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["fit", str(toy / "toy.csv"), "--model", str(toy / "new"), option])
    assert exit.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err.splitlines()[-1]


def test_labels_that_are_numbers_in_one_file_only(tmp_path, capsys):
    model = fit_toy(tmp_path, np.array([1, 2, 3] * 4))
    data = write_csv(tmp_path / "a.csv", np.array(["1", "2", "3", "other"] * 3))
    page = tmp_path / "page.html"
    _, err = run(capsys, "predict", data, "--model", model, "--json")
    assert "labels that are not in the training data: other" in err
    run(capsys, "report", data, "--model", model, "--output", page)
    text = page.read_text(encoding="utf-8")
    assert "Classes without training data: other." in text
    assert "<h3>Case take 0 of class 1</h3>" in text
    run(capsys, "predict", data, "--model", model, "--explain", "--against", "1")


def test_closed_streams(toy, monkeypatch, capsys):
    words = ["predict", str(toy / "toy.csv"), "--model", str(toy / "toy.safetensors")]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        assert main(words) == 0
        assert len(capsys.readouterr().out.splitlines()) == 13
        assert main(["predict", "no.csv", "--model", "no"]) == 1
        assert capsys.readouterr().out == ""
        patch.setattr(sys, "stdout", None)
        assert main([*words, "--output", str(toy / "out.csv")]) == 0
    monkeypatch.setattr(sys, "stdout", None)
    assert main([*words, "--quiet"]) == 1
    assert "closed" in capsys.readouterr().err
