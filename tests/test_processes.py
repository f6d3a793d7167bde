"""Processes that train together: one model, and that of a single process."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sktext_vq import VQTextClassifier, load

SCRIPT = """
import sys
import numpy as np
from accelerate import PartialState
from sktext_vq import VQTextClassifier, save

folder = sys.argv[1]
index = PartialState(cpu=True).process_index
data = np.load(f"{folder}/data.npz")
same = {"n_codes": 16, "max_features": 60, "device": "accelerate", "n_jobs": 1}

def fit(name, random_state=0, checkpoint=None, **parameters):
    model = VQTextClassifier(random_state=random_state, **same, **parameters)
    model.fit(data["X"], data["y"], checkpoint=checkpoint)
    save(model, f"{folder}/{name} {index}")

fit("plain", text=None, max_epochs=3)
own = {"text_encoder": "hashing", "loss_weights": {"codebook": 0.1, "digits": 1.0}}
fit("all", max_epochs=2, **own)
fit("again", max_epochs=2, checkpoint=f"{folder}/checkpoint", **own)
fit("done", max_epochs=2, checkpoint=f"{folder}/checkpoint", **own)
try:
    fit("other", random_state=index, max_epochs=1, text=None)
except ValueError as error:
    open(f"{folder}/error {index}", "w").write(str(error))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("accelerate", reason="needs sktext_vq[accelerate]")
    folder = tmp_path_factory.mktemp("processes")
    rng = np.random.default_rng(0)
    # 55 cases of which 44 train, in batches of 8: the last one is of 4. 11 say when
    # to stop.
    y = np.array(["walking", "running"])[np.arange(55) % 2]
    X = rng.normal(size=(55, 3, 40)).cumsum(axis=2)
    X[::2] *= 3
    np.savez(folder / "data.npz", X=X, y=y)
    (folder / "train.py").write_text(SCRIPT)
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", folder / "train.py", folder),
        ],
        check=True,
        timeout=300,
    )
    return folder


def weights(model):
    return {
        name: tensor.detach().numpy()
        for name, tensor in model.network_.model.state_dict(keep_vars=True).items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "all", "again", "done"])
def test_all_have_the_same_model(folder, name):
    first, second = (load(folder / f"{name} {index}") for index in (0, 1))
    X = np.load(folder / "data.npz")["X"]
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    for key, value in weights(first).items():
        np.testing.assert_array_equal(value, weights(second)[key], err_msg=key)
    histories = [
        [{name: row[name] for name in row if name != "dur"} for row in model.history_]
        for model in (first, second)
    ]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_it_is_the_model_of_one_process(folder):
    data = np.load(folder / "data.npz")
    together = load(folder / "plain 0")
    alone = VQTextClassifier(
        random_state=0, n_codes=16, max_features=60, text=None, max_epochs=3, n_jobs=1
    ).fit(data["X"], data["y"])
    for row, other in zip(together.history_, alone.history_, strict=True):
        for name in ("train_loss", "train_class", "valid_loss"):
            np.testing.assert_allclose(row[name], other[name], rtol=1e-4)
    before = alone.network_.model.class_head.weight.detach().numpy()
    after = together.network_.model.class_head.weight.detach().numpy()
    np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.slow
def test_checkpoints_change_nothing(folder):
    expected = load(folder / "all 0")
    for name in ("again", "done"):
        for key, value in weights(load(folder / f"{name} 0")).items():
            np.testing.assert_array_equal(value, weights(expected)[key], err_msg=key)
    assert not list(folder.glob(".*.part"))


@pytest.mark.slow
def test_other_starts_are_refused(folder):
    for index in (0, 1):
        assert "an int as random_state" in (folder / f"error {index}").read_text()


def test_one_process_is_enough(monkeypatch):
    X = np.random.default_rng(0).normal(size=(8, 1, 30))
    y = ["a", "b"] * 4
    few = {"n_codes": 16, "max_features": 60, "text": None, "random_state": 0}
    alone = VQTextClassifier(max_epochs=1, **few).fit(X, y).predict_proba(X)
    model = VQTextClassifier(max_epochs=1, device="accelerate", **few)
    pytest.importorskip("accelerate", reason="needs sktext_vq[accelerate]")
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), alone)
    # Predictions do without it.
    monkeypatch.setitem(sys.modules, "accelerate", None)
    np.testing.assert_array_equal(model.predict_proba(X), alone)
    with pytest.raises(ImportError, match=r"sktext_vq\[accelerate\]"):
        model.fit(X, y)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_can_fit_and_predict():
    """With threads in torch that the process it comes from has used."""
    program = """
import os, signal, sys
import numpy as np, torch
from sktext_vq import TextEncoder, VQTextClassifier
torch.set_num_threads(2)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 2, 80)), np.arange(40) % 2

def work():
    model = VQTextClassifier(max_epochs=0, random_state=0, n_codes=16).fit(X, y)
    model.tokens(X[:2]), model.explain(X[:2]), model.transform_codes(X)
    TextEncoder().transform(["someone walks", "someone runs"])
    return model.predict_proba(X)

expected = work()
if (pid := os.fork()) == 0:
    signal.alarm(100)
    os._exit(int(not np.allclose(work(), expected, rtol=0, atol=1e-9)))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) or torch.get_num_threads() - 2)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=300)
    assert done.returncode == 0
