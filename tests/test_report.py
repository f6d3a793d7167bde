import html.parser
import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import confusion_matrix

from sktext_vq import DriftWarning, PromptBank, VQTextClassifier, VQTextTransformer
from sktext_vq.inspection import _cases, _checks, _content, write_report
from sktext_vq.inspection._drawing import limits, lines
from sktext_vq.panel import as_panel

HOSTILE = "<script>alert('&')</script>"
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Parser of a page that checks that elements are nested correctly."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attributes = Counter(), [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def write(classifier, X, y, folder, **kwargs):
    path = write_report(classifier, X, y, folder / "report.html", **kwargs)
    text = path.read_text(encoding="utf-8")
    assert [file.name for file in folder.iterdir()] == ["report.html"]
    page = Page(text)
    # The page is self-contained, and contains only the script of the package.
    assert not re.search(r"https?:|@import|url\(", text)
    assert page.tags["script"] == 1 and not page.tags["link"]
    script = (files("sktext_vq.inspection") / "report.js").read_text(encoding="utf-8")
    assert f"<script>{script}</script>" in text
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.attributes
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{allowed}'" in policy
    for tag, attributes in page.attributes:
        assert not [name for name in attributes if name.startswith(("on", "src"))]
        assert attributes.get("href", "#").startswith("#")
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    assert page.tags["caption"] == page.tags["table"]
    return text, page


def signed(value):
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


@pytest.fixture(scope="module")
def fitted(small_on_motions):
    return small_on_motions


def test_page_contains_predictions_and_codes(fitted, basic_motions, tmp_path):
    X, y = basic_motions.X_test, basic_motions.y_test.copy()
    y[:3] = "running"  # standing, so these predictions are wrong
    text, page = write(fitted, X, y, tmp_path, title="Watch & learn")
    assert write(fitted, X, y, tmp_path, title="Watch & learn")[0] == text
    assert "<title>Watch &amp; learn</title>" in text
    predicted = fitted.predict(X)
    assert f"{(predicted == y).sum()} of 40 series" in text
    assert f"<dd>{(predicted == y).mean():.3f}</dd>" in text
    matrix = text[text.index('aria-label="Confusion matrix"') :].partition("</table>")[
        0
    ]
    cells = re.findall(r'--share: [^"]*">(?:<a [^>]*>)?(\d+)', matrix)
    counts = [int(count) for count in cells]
    expected = confusion_matrix(y, predicted, labels=fitted.classes_)
    assert counts == expected.ravel().tolist()
    for name in basic_motions.channel_names:
        assert name in text
    assert f"{X[:, 0].min():.4g}" in text
    # Each code has a drawing, a description, and a name if the evidence is sufficient.
    codes = fitted.describe_codes()
    assert text.count('<li class="card"') == len(codes) == 16
    for code, row in codes.iterrows():
        assert f"Shape of code {code}: {row['shape']}" in text
        card = text[text.index(f'id="code-{code}"') :].partition("</li>")[0]
        if isinstance(row["phrase"], str):
            assert f"“{row['phrase']}”, confidence {row['confidence']:.2f}" in card
        else:
            assert "no name, due to insufficient evidence" in card
        assert f"usage in {row['class']}: {row['lift']:.2g} times the average" in card
    assert 0 < codes["phrase"].isna().sum() < 16
    # Codes, six channels of each case, and losses.
    drawings = [a for _, a in page.attributes if a.get("role") == "img"]
    assert len(drawings) == 16 + 40 * 6 + 1
    assert text.count("<strong>Wrong:</strong>") == 3
    sure = fitted.predict_proba(X[:1]).max()
    assert f"predicted standing with probability {sure:.2f}" in text
    for label in fitted.classes_:
        assert f"of class {label}</h3>" in text
    for label, forms in PromptBank().prompts(fitted.classes_).items():
        assert forms["sentence"][0] in text, label
    assert "2 epochs in" in text and f"{fitted.history_[1]['train_loss']:.4g}" in text
    assert "random_state=0" in text


def test_cases_have_contributions_of_tokens(fitted, basic_motions, tmp_path):
    X, y = basic_motions.X_test[:8], basic_motions.y_test[:8].copy()
    y[2] = "running"  # the true class is standing
    text, _ = write(fitted, X, y, tmp_path)
    for case, against in ((2, "running"), (0, None)):
        article = text[text.index(f'id="case-{case}"') :].partition("</article>")[0]
        table = fitted.explain(X[case : case + 1], against=against)
        label, against = table.loc[0, ["label", "against"]]
        assert f"Why “{label}” and not “{against}”" in article
        tokens = table[table["code"] >= 0]
        top = tokens.sort_values("contribution", key=lambda c: -c.abs(), kind="stable")
        rows = re.findall(
            r'--share: [\d.]+">(.\d+\.\d\d)</td><td><a href="#code-(\d+)">', article
        )
        assert rows == [
            (signed(row["contribution"]), str(row["code"]))
            for row in top[:8].to_dict("records")
        ]
        total = signed(table["contribution"].sum())
        assert f"the log-odds {total}, so “{label}” is " in article
        # Each drawn token has its contribution.
        drawn = re.findall(r"<title>[^<]*: (.\d+\.\d\d)</title>", article)
        assert len(drawn) == len(tokens)
        # Channels with the largest contributions come first.
        sums = tokens["contribution"].abs().groupby(tokens["channel"]).sum()
        first = re.search(r"<figcaption>(\w+)<", article)[1]
        assert first == basic_motions.channel_names[sums.idxmax()]


def test_texts_are_compared_with_series(fitted, basic_motions, tmp_path):
    X, y = basic_motions.X_test, basic_motions.y_test
    text, _ = write(fitted, X, y, tmp_path, n_examples=0)
    cosines = fitted.similarity(X, fitted.prompts_)
    found = (fitted.classes_[cosines.argmax(axis=1)] == y).mean()
    assert f"is the most similar text for {100 * found:.3g} % of the series" in text
    mean = cosines[y == "walking"].mean(axis=0)
    part = text[text.index("<caption>Mean cosine similarity of series") :]
    rows = part[part.index("<tbody>") :]
    row = rows[rows.index(">walking</th>") :].partition("</tr>")[0]
    cells = re.findall(r">(.?\d\.\d\d)</td>", row)
    assert cells == [signed(value).removeprefix("+") for value in mean]


def test_hostile_names_are_escaped(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2, 40))
    X[::2] = X[::2].cumsum(axis=2)
    y = np.array([HOSTILE, '"><img src=x onerror="x'] * 10)
    classifier = VQTextClassifier(
        max_epochs=1,
        text={label: f"{label} {{{{ 7 * 7 }}}}" for label in y[:2]},
        text_encoder="hashing",
        channel_names=[HOSTILE + "1", "</svg>"],
        random_state=0,
    )
    classifier.fit(X, y)
    text, page = write(classifier, X, y, tmp_path, title=HOSTILE)
    assert "&lt;script&gt;" in text and "{{ 7 * 7 }}" in text
    assert page.tags["img"] == 0


def test_one_channel_of_30_points_and_numbers_as_classes(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 30))
    X[::2] = X[::2].cumsum(axis=1)
    y = np.arange(20) % 2
    classifier = VQTextClassifier(text=None, random_state=0).fit(X[:10], y[:10])
    text, _ = write(classifier, X[10:], y[10:], tmp_path, n_examples=2)
    assert text.count('<article class="case explained"') == 2
    assert "fitted without text" in text
    assert "not trained by gradient descent (closed form)" in text
    assert "of class 0</h3>" in text
    # Durations are in timepoints, since the sampling rate is unknown.
    assert "From left to right: 30 timepoints" in text


def test_many_long_and_unequal_series_with_gaps(tmp_path):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(8, n)).cumsum(axis=1) for n in (700, 300, 250, 280)]
    X = [x * (1 + 4 * (i % 2)) for i, x in enumerate(X)]
    X[0][3, 100:400] = np.nan
    X[1][0, ::3] = np.nan
    y = ["slow", "fast"] * 2
    classifier = VQTextClassifier(
        16,
        max_features=1000,
        text="captions",
        text_encoder="hashing",
        sampling_rate=100,
        random_state=0,
    )
    classifier.fit(X, y)
    text, page = write(classifier, X, y, tmp_path)
    drawings = [a for _, a in page.attributes if a.get("role") == "img"]
    assert len(drawings) == 16 + 4 * 8
    assert text.count("5 more channels") == 4
    assert "250 to 700" in text and "2.5 s to 7 s" in text
    # Texts are captions of single series.
    assert "different texts about single series" in text
    assert str(classifier.prompts_[0]).split(".")[0] in text
    assert len(text) < 2_500_000


def test_classes_that_the_model_does_not_know(fitted, basic_motions, tmp_path):
    y = basic_motions.y_test.astype(object)
    y[:5] = "swimming"
    text, _ = write(fitted, basic_motions.X_test, y, tmp_path, n_examples=1)
    assert "Classes without training data: swimming." in text
    assert "<dd>0.875</dd>" in text or "<dd>0.850</dd>" in text


@pytest.mark.parametrize("labels", [True, False])
def test_transformers_have_no_scores(labels, basic_motions, tmp_path):
    X, y = basic_motions.X_train[::4], basic_motions.y_train[::4]
    transformer = VQTextTransformer(16, text_encoder="hashing", random_state=0)
    transformer.fit(X, y if labels else None)
    text, page = write(transformer, X, y if labels else None, tmp_path)
    assert "10 series, with a codebook of 16 shapes" in text
    assert "Report on a VQTextTransformer" in text
    for part in ("Accuracy", "Confusion", "predicted", "Why ", "evidence for"):
        assert part not in text
    assert text.count('<article class="case"') == 10
    assert ("of class walking</h3>" in text) == labels
    assert ("Series by class" in text) == labels
    assert (
        "no name, due to insufficient evidence" in text or "confidence 0." in text
    ) == labels
    drawings = [a for _, a in page.attributes if a.get("role") == "img"]
    assert len(drawings) == 16 + 10 * 6


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Return a function that writes a page about many classes and two groups."""

    def write_many(n_classes, **kwargs):
        rng = np.random.default_rng(0)
        speed = np.linspace(0.1, 1.5, n_classes).repeat(2)[:, None]
        X = np.sin(speed * np.arange(40) + rng.uniform(0, 6, (len(speed), 1)))
        y = np.array([f"activity {i:03}" for i in range(n_classes)]).repeat(2)
        classifier = VQTextClassifier(
            16, max_features=100, text="labels", text_encoder="hashing", random_state=0
        ).fit(X, y)
        folder = tmp_path_factory.mktemp("many")
        groups = ["s1", "s2"] * n_classes
        X = X + rng.normal(size=X.shape)
        text, _ = write(classifier, X, y, folder, groups=groups, n_examples=4, **kwargs)
        return text, classifier.predict(X), y

    return write_many


def test_errors_between_many_classes_are_listed(many):
    text, predicted, y = many(60)
    assert len(text) < 500_000 and "Confusion matrix" not in text
    pairs = Counter(zip(y[predicted != y], predicted[predicted != y], strict=True))
    listed = text[text.index("<caption>Most frequent errors") :].partition("</table>")[
        0
    ]
    rows = re.findall(
        r">(activity \d+)</th>\s*<td>(?:<a [^>]*>)?(\d)(?:</a>)?</td>"
        r'<td>\d+ %</td><td class="words">(activity \d+)<',
        listed,
    )
    assert len(rows) == 20
    for true, count, instead in rows:
        assert pairs[true, instead] == int(count)
    assert [int(count) for _, count, _ in rows] == sorted(pairs.values())[::-1][:20]
    # Scores of all classes; the first ones are visible.
    scores = text[text.index("<caption>Scores by class") : text.index('id="cases"')]
    assert scores.count('<th scope="row"') == 60 + 2
    assert "30 more: scores by class" in scores


def test_matrix_of_some_classes_has_numbers_for_columns(many):
    text, predicted, y = many(27)
    matrix = text[text.index('<table class="heat compact">') :].partition("</table>")[0]
    assert re.findall(r'title="([^"]*)">(\d+)<', matrix) == [
        (label, str(i)) for i, label in enumerate(np.unique(y), start=1)
    ]
    cells = re.findall(r"<td[^>]*>(?:<a [^>]*>)?(\d*)", matrix)
    expected = confusion_matrix(y, predicted).ravel().tolist()
    assert [int(count or 0) for count in cells] == expected


def test_cases_and_groups_have_their_names(many):
    names = [f"take {i}" for i in range(24)]
    text, predicted, y = many(12, case_names=names)
    assert re.search(r"<h3>Case take \d+ of class activity 0", text)
    assert re.search(r"Group: s[12]</p>", text)
    table = text[text.index("<caption>Accuracy by group") :].partition("</table>")[0]
    for group in (0, 1):
        right = (predicted == y)[group::2]
        row = f">s{group + 1}</th>\n<td>12</td><td>{right.sum()}</td>"
        assert f"{row}<td>{right.mean():.3f}</td>" in table


def test_names_of_cases_come_from_the_index_of_a_frame(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"walk {i}" for i in range(8)]
    index = pd.MultiIndex.from_product([names, range(30)])
    X = pd.DataFrame(rng.normal(size=(240, 1)), index=index, columns=["x"])
    y = pd.Series([1, 2] * 4, index=names)
    classifier = VQTextClassifier(16, text=None, random_state=0).fit(X, y)
    # Labels may be numbers in training and strings in the report.
    text, _ = write(classifier, X, y.astype(str), tmp_path, X_train=X.loc[names[:2]])
    assert "<h3>Case walk 3 of class 2</h3>" in text
    assert "used in training: cases walk 0, walk 1." in text
    assert "Classes without training data" not in text
    with pytest.raises(ValueError, match="groups"):
        write_report(classifier, X, y, tmp_path / "report.html", groups=[1])


def test_warnings_about_series():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3, 30))
    X[:, 0] = 1.0
    X[3, 1] = 0.0
    X[7] = X[11] = X[2]
    X[5, 2, :10] = np.nan
    y = np.array([0] * 15 + [1] * 4 + [2])
    y[11] = 1
    classes = [{"label": f"c{i}", "count": int((y == i).sum())} for i in range(4)]
    training = np.concatenate([X[8:10].astype(np.float32), rng.normal(size=(5, 3, 30))])
    found = _checks.find_warnings(
        ["dead", "b", "c"],
        as_panel(X),
        as_panel(training),
        classes,
        y,
        [*map(str, range(20))],
    )
    for warning, expected in zip(
        found,
        [
            "There are no series of class c3.",
            "imbalanced: there are 14 series of c0 and 1 of c2",
            "There are fewer than 5 series of c2",
            "2 of 20 series are duplicates: cases 2 and 7 and 11.",
            "Identical series have different labels: cases 2 and 7 and 11.",
            "2 of 20 series were used in training: cases 8, 9.",
            "Channels that are constant in every series: dead.",
            "Channels that are constant in some series: b (1 of 20).",
            "0.56 % of all values are missing, most of them in channel c (1.7 %)",
        ],
        strict=True,
    ):
        assert expected in warning


def test_absence_of_warnings_is_reported(fitted, basic_motions, tmp_path):
    X, y = basic_motions.X_test, basic_motions.y_test
    text, _ = write(fitted, X, y, tmp_path, n_examples=0)
    assert (
        "Classes are balanced, and there are no duplicate series, no constant" in text
    )
    assert "No training series were given" in text
    X_train = basic_motions.X_train
    text, _ = write(fitted, X, y, tmp_path, n_examples=0, X_train=X_train)
    assert "no duplicate series, no training series, no constant" in text
    text, _ = write(fitted, X, y, tmp_path, n_examples=0, X_train=X[:3])
    assert "3 of 40 series were used in training: cases 0, 1, 2." in text
    with pytest.raises(ValueError, match="X_train has 1 channels, but X has 6"):
        write_report(fitted, X, y, tmp_path / "report.html", X_train=X[:, 0])


def test_drift_warning_is_on_the_page(fitted, basic_motions, tmp_path, recwarn):
    X, y = 50 * basic_motions.X_test[:12], basic_motions.y_test[:12]
    text, _ = write(fitted, X, y, tmp_path, n_examples=2)
    assert text.count("from training in scale or offset") == 1
    assert not [each for each in recwarn if each.category is DriftWarning]


def test_errors_are_chosen_first_and_then_each_class():
    true = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    sure = np.array([0.9, 0.8, 0.7, 0.9, 0.8, 0.6, 0.7, 0.9])
    predicted = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    probabilities = np.empty((8, 2))
    probabilities[range(8), predicted] = sure
    probabilities[range(8), 1 - predicted] = 1 - sure
    answers = _content.Answers([0, 1], true, probabilities)
    assert _cases.choose_cases(answers, 8, 4) == [7, 6, 0, 3]
    assert _cases.choose_cases(answers, 8, 2) == [7, 0]
    assert _cases.choose_cases(answers, 8, 99) == [7, 6, 0, 3, 1, 4, 2, 5]
    # If all predictions are wrong, the given number of cases is chosen.
    answers = _content.Answers([0, 1], 1 - predicted, probabilities)
    assert len(_cases.choose_cases(answers, 8, 4)) == 4
    # Pairs of classes alternate, so rare confusions are shown as well.
    confused = np.array([[0.1, 0.9]] * 4 + [[0.6, 0.4]])
    answers = _content.Answers([0, 1], np.array([0, 0, 0, 0, 1]), confused)
    assert _cases.choose_cases(answers, 5, 2) == [0, 4]
    # Without predictions, classes alternate; without classes, the first cases are used.
    assert _cases.choose_cases(_content.Answers([0, 1], true), 8, 4) == [0, 3, 1, 4]
    assert _cases.choose_cases(_content.Answers([]), 8, 4) == [0, 1, 2, 3]


def test_long_series_keep_their_extremes():
    rng = np.random.default_rng(0)
    values = rng.normal(size=5000)
    values[2000:2600] = np.nan
    first, second = lines(values, *limits(values))
    heights = [float(p.split(",")[1]) for p in f"{first} {second}".split()]
    assert len(heights) <= 600
    assert min(heights) == 4.0 and max(heights) == 96.0
    times = [float(p.split(",")[0]) for p in f"{first} {second}".split()]
    assert times == sorted(times)
    assert not [time for time in times if 401 < time < 519]


def test_invalid_arguments(fitted, basic_motions, tmp_path):
    X, y, path = basic_motions.X_test, basic_motions.y_test, tmp_path / "report.html"
    with pytest.raises(NotFittedError):
        write_report(VQTextClassifier(), X, y, path)
    for other in (VQTextClassifier, "model", None):
        with pytest.raises(TypeError, match="requires a fitted VQTextClassifier or"):
            write_report(other, X, y, path)
    with pytest.raises(TypeError, match="requires y if the estimator"):
        write_report(fitted, X, None, path)
    with pytest.raises(ValueError, match="X has 40 cases, but y has 39"):
        write_report(fitted, X, y[1:], path)
    with pytest.raises(ValueError, match=r"none of the classes .*'badminton'.*in y: 0"):
        write_report(fitted, X, np.zeros(40, int), path)
    with pytest.raises(ValueError, match="2 channels"):
        write_report(fitted, X[:, :2], y, path)
    with pytest.raises(FileNotFoundError, match="folder that does not exist"):
        write_report(fitted, X, y, tmp_path / "no" / "report.html")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_report(fitted, X, y, tmp_path)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(fitted, basic_motions, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(PermissionError, match=re.escape(str(path))):
        write_report(fitted, basic_motions.X_test[:4], basic_motions.y_test[:4], path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
