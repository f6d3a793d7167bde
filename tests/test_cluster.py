"""Memory-mapped panels and clusters give the same results as a single process."""

import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

from sktext_vq import VQTextClassifier, VQTextTransformer

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SMALL = {"n_codes": 16, "max_features": 60, "max_epochs": 0, "random_state": 0}


def panel(n_cases, n_channels=2, n_timepoints=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_cases, n_channels, n_timepoints)).astype(np.float32)
    y = np.arange(n_cases) % 2
    return X + y[:, None, None] * np.sin(np.arange(n_timepoints)), y


@pytest.fixture(scope="module")
def fitted():
    X, y = panel(24)
    return VQTextClassifier(**SMALL).fit(X, y), VQTextTransformer(**SMALL).fit(X, y)


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs sktext_vq[dask]")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            host="127.0.0.1",
            memory_limit=0,
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def test_a_mapped_file_is_not_read_as_a_whole(fitted, tmp_path):
    X = np.lib.format.open_memmap(
        tmp_path / "X.npy", mode="w+", dtype=np.float32, shape=(4_500, 2, 500)
    )
    X[:] = np.random.default_rng(0).normal(size=(1, 2, 500))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    fitted[1].transform(mapped[:2])

    def memory(part):
        """Return the peak memory of a transformation, without its result."""
        tracemalloc.start()
        try:
            found = fitted[1].transform(part)
            return tracemalloc.get_traced_memory()[1] - found.nbytes
        finally:
            tracemalloc.stop()

    # The memory of a part does not depend on the size of the file.
    some = mapped[:1_500]
    assert memory(mapped) - memory(some) < (mapped.nbytes - some.nbytes) / 4


def test_a_cluster_predicts_the_same(fitted, client, monkeypatch):
    X = panel(301, seed=1)[0]
    X[3, 0, 5:9] = np.nan
    monkeypatch.setattr("sktext_vq._features.cluster._MAX_CASES", 64)
    monkeypatch.setattr(
        "sktext_vq._features.cluster._TASKS_PER_WORKER", 1
    )  # three tasks per worker
    for method in (fitted[0].predict_proba, fitted[1].transform):
        with parallel_config(backend="dask"):
            found = method(X)
        # Other batch sizes cause rounding differences. Features have dtype float32.
        digits = 1e-9 if found.dtype == np.float64 else 1e-6
        np.testing.assert_allclose(found, method(X), rtol=digits, atol=digits)
    # Workers import the package only for these calls.
    assert any(client.run(lambda: "sktext_vq" in sys.modules).values())
    X[7] = np.inf
    with parallel_config(backend="dask"), pytest.raises(ValueError, match="case 7"):
        fitted[0].predict(X)


def test_a_cluster_searches_the_same(client):
    X, y = panel(60)
    search = GridSearchCV(VQTextClassifier(**SMALL), {"n_codes": [16, 32]}, cv=3)
    alone = search.fit(X, y).cv_results_
    with parallel_config(backend="dask"):
        shared = search.fit(X, y).cv_results_
    np.testing.assert_array_equal(shared["mean_test_score"], alone["mean_test_score"])


@pytest.mark.slow
def test_ray_predicts_the_same(fitted):
    ray = pytest.importorskip("ray", reason="needs sktext_vq[ray]")
    from ray.util.joblib import register_ray

    register_ray()
    X = panel(301, seed=1)[0]
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1")
    try:
        with parallel_config(backend="ray", n_jobs=-1):
            found = fitted[0].predict_proba(X)
    finally:
        ray.shutdown()
    expected = fitted[0].predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_the_page_runs(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text().replace("tcp://scheduler:8786", client.scheduler.address)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names = {}
    for block in blocks:
        if "import ray" not in block:  # tested separately
            exec(compile(block, str(PAGE), "exec"), names)
    names["client"].close()
    assert names["same"] and len(names["features"]) == 40
    accuracy = [
        np.mean(names[kind] == names["data"].y_test) for kind in ("predicted", "labels")
    ]
    assert min(accuracy) >= 0.95
