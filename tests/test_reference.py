"""Predictions that refactoring must not change.

After an intended change of predictions, ``python tests/test_reference.py`` computes the
reference and writes ``tests/data/reference.npz``.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq.datasets import load

DATA = Path(__file__).parent / "data"
# Histograms are computed in single precision, and training amplifies differences of
# rounding between processors. On the same machine, refits are bitwise equal.
CLOSED_FORM, TRAINED = 1e-4, 0.05


def small(estimator=VQTextClassifier, **parameters):
    return estimator(**{"max_epochs": 0, "random_state": 0, **parameters})


def shares(explained):
    """Return contributions relative to their sum of absolute values.

    All contributions are multiplied by the temperature, which depends on rounding if
    classes are perfectly separated.
    """
    contribution = explained["contribution"].to_numpy()
    return contribution / np.abs(contribution).sum()


def closed_form():
    data = load("BasicMotions")
    fitted = small().fit(data.X_train, data.y_train)
    seen = data.y_train != "walking"
    three = small().fit(data.X_train[seen], data.y_train[seen])
    names = ["badminton", "running", "standing", "walking"]
    transformer = small(VQTextTransformer, max_features=500)
    explained = fitted.explain(data.X_test[[0, 20]])
    tokens = fitted.tokens(data.X_test[:2])
    yield "proba", fitted.predict_proba(data.X_test)
    yield "codes", fitted.transform_codes(data.X_test[:5])
    yield "contribution", shares(explained)
    yield "offset", tokens["offset"].to_numpy()
    yield "scale", tokens["scale"].to_numpy()
    yield "reconstruction", fitted.reconstruct(data.X_test[:1])
    yield "zero-shot", three.predict_proba_zero_shot(data.X_test[::2], names)
    yield "search", three.search(data.X_test[::4], "somebody walks")["score"].to_numpy()
    yield "features", transformer.fit(data.X_train).transform(data.X_test[:2])


def unequal_lengths():
    data = load("JapaneseVowels")
    fitted = small(class_weight="balanced", augment={"gap": 0.2})
    fitted.fit(data.X_train[::3], data.y_train[::3])
    yield "proba", fitted.predict_proba(data.X_test[::4])


def named_sensors():
    with np.load(DATA / "motionsense.npz") as data:
        X, y, groups, X_test = (
            data[name].astype("f4") if name.startswith("X") else data[name]
            for name in ("X", "y", "subject", "X_test")
        )
    names = [f"{sensor}_{axis}" for sensor in ("acc", "gyro") for axis in "xyz"]
    fitted = small(channel_names=names, sampling_rate=50).fit(X, y, groups=groups)
    explained = fitted.explain(X_test[:1])
    yield "proba", fitted.predict_proba(X_test)
    yield "contribution", shares(explained)
    alone = small(
        VQTextTransformer, channel_names=names, gravity="replace", max_features=500
    )
    yield "features", alone.fit(X, y).transform(X_test[:2])


def trained():
    data = load("JapaneseVowels")
    fitted = small(max_epochs=2, text=None)
    fitted.fit(data.X_train[::3], data.y_train[::3])
    yield "proba", fitted.predict_proba(data.X_test[::4])
    yield "loss", np.array([row["train_loss"] for row in fitted.history_])


def trained_with_text():
    data = load("BasicMotions")
    X, y = (
        np.concatenate([getattr(data, f"{name}_{part}") for part in ("train", "test")])
        for name in "Xy"
    )
    fitted = small(max_epochs=2).fit(X, y)
    texts = ["somebody runs", "a person stands still"]
    yield "proba", fitted.predict_proba(data.X_test)
    yield "similarity", fitted.similarity(data.X_test, texts)
    yield "text codes", fitted.transform_text(texts)
    yield "loss", np.array([row["train_loss"] for row in fitted.history_])


CASES = {
    closed_form: CLOSED_FORM,
    unequal_lengths: CLOSED_FORM,
    named_sensors: CLOSED_FORM,
    trained: TRAINED,
    trained_with_text: TRAINED,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_predictions_are_equal_to_the_reference(case):
    with np.load(DATA / "reference.npz") as reference:
        for name, values in case():
            expected = reference[f"{case.__name__} {name}"]
            np.testing.assert_allclose(
                values, expected, rtol=CASES[case], atol=CASES[case], err_msg=name
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "reference.npz"
    found = {
        f"{case.__name__} {name}": values for case in CASES for name, values in case()
    }
    np.savez_compressed(target, **found)
