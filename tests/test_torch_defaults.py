"""Estimators do not depend on changed defaults of torch."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch

from sktext_vq import TextEncoder, VQTextClassifier, VQTextTransformer, load, save
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq.export import export_onnx

TEXTS = ["she walks slowly", "he runs"]


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def together(*contexts):
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


SETTINGS = {
    "float64 without gradients": lambda: together(
        default_dtype(torch.float64), torch.no_grad(), deterministic()
    ),
    "bfloat16 and autocast": lambda: together(
        default_dtype(torch.bfloat16), torch.autocast("cpu", torch.bfloat16)
    ),
    "default device": lambda: together(
        default_device("meta"), torch.set_grad_enabled(False)
    ),
    "device context": lambda: together(torch.device("meta"), torch.inference_mode()),
}


def everything(X, y, folder):
    """Fit, save and load estimators, and return all their outputs."""
    small = {"n_codes": 16, "max_features": 200, "random_state": 0}
    small |= {"text_encoder": "hashing", "max_epochs": 1}
    weights = {"digits": 1.0, "codebook": 0.1, "fused": 1.0, "series": 1.0}
    classifier = VQTextClassifier(**small).fit(X, y)
    model = load(save(classifier, folder / "model.safetensors"))
    network = VQTextClassifier(loss_weights=weights, **small)
    network.fit(X, y, init=classifier)
    transformer = VQTextTransformer(n_jobs=2, **small).fit(X, y)
    export_onnx(model, folder / "model.onnx")
    return [
        model.predict_proba(X),
        model.decision_function(X),
        model.predict_proba_zero_shot(X, ["walking", "jumping"]),
        model.search(X, "standing")["score"],
        model.caption(X[:2]).tolist(),
        model.similarity(X, TEXTS),
        model.transform_codes(X),
        model.transform_text(TEXTS),
        model.tokens(X)["scale"],
        model.reconstruct(X),
        model.explain(X[:2])["contribution"],
        model.describe_codes(TEXTS)["confidence"],
        network.predict_proba(X),
        network.explain(X[:2])["contribution"],
        network.reconstruct_text(X[:2]),
        transformer.transform(X),
    ]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.array(["walking", "running"] * 6)
    period = np.where(y == "walking", 12.0, 5.0)[:, None, None]
    X = np.sin(2 * np.pi * (np.arange(40) + rng.uniform(0, 9, (12, 2, 1))) / period)
    return X + 0.1 * rng.normal(size=X.shape), y


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    return everything(*data, tmp_path_factory.mktemp("expected"))


@pytest.mark.filterwarnings("ignore:.*is treated as an unseen", "ignore:The text of")
@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_the_caller_have_no_effect(setting, data, expected, tmp_path):
    with SETTINGS[setting]():
        here = torch.tensor([0.5]).dtype, torch.is_grad_enabled()
        found = everything(*data, tmp_path)
        assert (torch.tensor([0.5]).dtype, torch.is_grad_enabled()) == here
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, list):
            assert one == other
        else:
            # Training is in float32, and the number of threads may differ.
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_encoders_of_texts_do_not_depend_on_settings_either():
    expected = TextEncoder().transform(TEXTS)
    for setting in ("float64 without gradients", "default device"):
        with SETTINGS[setting]():
            found = TextEncoder().transform(TEXTS)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_threads_share_the_default_dtype():
    """The default of the caller is restored after the last thread."""

    def work(_):
        with torch_defaults():
            return torch.zeros(1).dtype

    with default_dtype(torch.float64), ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(200))) == {torch.float32}
        assert torch.get_default_dtype() == torch.float64
