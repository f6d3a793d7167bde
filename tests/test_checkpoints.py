"""Checkpoints: interrupted fits resume without losing epochs, with the same result."""

import errno
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
from functools import partial
from threading import Timer

import numpy as np
import pytest
import safetensors
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score

from sktext_vq import TextEncoder, VQTextClassifier, VQTextTransformer, load, save
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._training.checkpoint import _FORMAT, Checkpoint
from sktext_vq._training.fingerprint import fingerprint
from sktext_vq._training.trainer import _Net
from sktext_vq._utils.container import pack, unpack
from sktext_vq.nn import DualBranchModel, ShapeTokenizer

SMALL = {"n_codes": 16, "max_features": 100, "max_epochs": 4, "random_state": 0}
# Settings that train the codebook and all other optional parts.
LEARNED = {
    "text_encoder": "hashing",
    "max_epochs": 2,
    "loss_weights": {"codebook": 0.1, "frequency": 0.1, "fused": 1.0, "usage": 0.1},
}
WITHOUT_TEXT = {"text": None}
WITH_TEXT = {"text_encoder": "hashing"}


class Killed(BaseException):
    """Exception that simulates a killed process, and is not caught by the package."""


def classifier(**parameters):
    return VQTextClassifier(**(SMALL | parameters))


def same(left, right, X):
    np.testing.assert_array_equal(left.head_.coef, right.head_.coef)
    np.testing.assert_array_equal(left.codebook_, right.codebook_)
    if left.text_alignment_ is not None:
        texts = ["fast", "standing still"]
        np.testing.assert_array_equal(
            left.similarity(X, texts), right.similarity(X, texts)
        )
    np.testing.assert_array_equal(left.predict_proba(X), right.predict_proba(X))
    assert left.codebook_use_ == pytest.approx(right.codebook_use_, abs=0, nan_ok=True)
    for one, other in zip(left.history_, right.history_, strict=True):
        assert one | {"dur": 0} == other | {"dur": 0}


@pytest.fixture
def always_due(monkeypatch):
    monkeypatch.setattr(Checkpoint, "is_due", lambda self: True)


def kill_after(monkeypatch, n_writes):
    """Interrupt the fit after a number of checkpoint writes."""
    write, count = Checkpoint.write, [0]

    def counting(self, state):
        write(self, state)
        count[0] += 1
        if count[0] == n_writes:
            raise Killed

    monkeypatch.setattr(Checkpoint, "write", counting)


def count_calls(monkeypatch, owner, name):
    """Return a list whose item is the number of later calls of a method."""
    method, count = getattr(owner, name), [0]

    def counting(*args, **kwargs):
        count[0] += 1
        return method(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return count


# -- Resuming ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters", [WITHOUT_TEXT, WITH_TEXT, LEARNED], ids=["plain", "text", "all"]
)
def test_a_fit_goes_on_bit_for_bit_after_any_epoch(
    parameters, many_rhythms, tmp_path, always_due, monkeypatch
):
    X, y = many_rhythms
    n_writes = count_calls(monkeypatch, Checkpoint, "write")
    expected = classifier(**parameters).fit(X, y, checkpoint=tmp_path / "whole")
    monkeypatch.undo()
    monkeypatch.setattr(Checkpoint, "is_due", lambda self: True)
    last = n_writes[0]
    # The first write precedes epoch 1, and the last write follows the end of training.
    for number in sorted({1, 2, last // 2, last - 1, last}):
        path = tmp_path / f"{number}.safetensors"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, number)
            classifier(**parameters).fit(X, y, checkpoint=path)
        same(classifier(**parameters).fit(X, y, checkpoint=path), expected, X)


def test_early_stopping_goes_on_where_it_was(tmp_path, always_due):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 1, 30)), np.arange(80) % 2  # labels do not depend on X
    parameters = {"text": None, "max_epochs": 50}
    expected = classifier(**parameters).fit(X, y)
    n_done = len(expected.history_)
    assert n_done < 50
    for n_writes in range(n_done - 2, n_done + 1):  # epochs without improvement
        path = tmp_path / f"{n_writes}.safetensors"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, n_writes)
            classifier(**parameters).fit(X, y, checkpoint=path)
        same(classifier(**parameters).fit(X, y, checkpoint=path), expected, X)


def test_a_transformer_goes_on_too(many_rhythms, tmp_path, always_due, monkeypatch):
    X, _ = many_rhythms
    parameters = SMALL | {"text_encoder": "hashing", "max_epochs": 2}
    expected = VQTextTransformer(**parameters).fit(X)
    model = VQTextTransformer(**parameters)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 2)
        model.fit(X, checkpoint=tmp_path / "state")
    texts = ["a slow rhythm", "fast"]
    np.testing.assert_array_equal(
        model.fit(X, checkpoint=tmp_path / "state").similarity(X, texts),
        expected.similarity(X, texts),
    )


def test_what_has_ended_is_not_trained_again(many_rhythms, tmp_path, monkeypatch):
    X, y = many_rhythms
    path = tmp_path / "state"
    first = classifier(**WITHOUT_TEXT).fit(X, y, checkpoint=path)
    n_steps = count_calls(monkeypatch, DualBranchModel, "forward")
    # With another number of threads, features may differ by rounding.
    other = classifier(n_jobs=1, **WITHOUT_TEXT).fit(X, y, checkpoint=path)
    expected = first.predict_proba(X)
    np.testing.assert_allclose(other.predict_proba(X), expected, rtol=1e-6, atol=1e-6)
    again = classifier(**WITHOUT_TEXT).fit(X, y, checkpoint=str(path))
    assert n_steps == [0]
    same(again, first, X)
    path.unlink()
    same(again.fit(X, y), first, X)
    assert n_steps[0] >= 4  # one step per epoch


def test_a_checkpoint_changes_nothing_about_the_model(many_rhythms, tmp_path):
    X, y = many_rhythms
    found = classifier(**WITHOUT_TEXT).fit(X, y, checkpoint=tmp_path / "state")
    same(found, classifier(**WITHOUT_TEXT).fit(X, y), X)


def test_writing_takes_little_of_the_time(many_rhythms, tmp_path, monkeypatch):
    write, written = Checkpoint.write, []
    # Each call of the clock advances by 100 s, so that writes and epochs seem slow.
    clock = itertools.count(0, 100)

    def noting(self, state):
        written.append(len(state.numbers["history"]))
        write(self, state)

    monkeypatch.setattr(Checkpoint, "write", noting)
    monkeypatch.setattr("sktext_vq._training.checkpoint._clock", lambda: next(clock))
    monkeypatch.setattr("sktext_vq._training.callbacks._PATIENCE", 100)
    model = classifier(max_epochs=45, text=None)
    model.fit(*many_rhythms, checkpoint=tmp_path / "state")
    assert written[:3] == [0, 20, 40]
    assert len(written) <= 8


# -- SIGKILL -------------------------------------------------------------------------


def fit_and_keep(path, X, y, delay=None):
    """Fit and save, or kill the process some seconds after the third write starts."""
    torch.set_num_threads(1)
    write, n_writes = Checkpoint.write, itertools.count(1)

    def write_and_die(self, state):
        if next(n_writes) == 3 and delay is not None:
            # Kill from a separate thread, since the main thread may be waiting.
            Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        write(self, state)

    Checkpoint.write = write_and_die  # only in this process
    parameters = {"max_epochs": 60, "loss_weights": {"series": 1.0}, **WITH_TEXT}
    model = classifier(**parameters).fit(X, y, checkpoint=path)
    save(model, f"{path}.model")


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_killed_at_any_moment_a_fit_ends_as_if_it_had_not_been(
    many_rhythms, tmp_path, always_due
):
    X, y = many_rhythms
    classifier(**WITHOUT_TEXT).fit(X, y)  # compiles functions for child processes
    # Forked processes do not import packages, which would take most of the time.
    context = multiprocessing.get_context("fork")
    path = tmp_path / "state"

    def run(where, delay=None):
        child = context.Process(target=fit_and_keep, args=(where, X, y, delay))
        child.start()
        child.join(300)
        return child.exitcode

    assert run(tmp_path / "whole") == 0
    epochs = []
    # Kill during the write, immediately after it, and in later steps.
    for delay in (0, 0.001, 0.003, 0.01):
        assert run(path, delay) == -signal.SIGKILL
        with safetensors.safe_open(path, "np") as file:  # the file is never incomplete
            epochs.append(file.metadata()["document"].count('"dur"'))
    # The first write precedes epoch 1, and later fits resume from the file.
    assert 0 < epochs[0] <= epochs[1] <= epochs[2] <= epochs[3]
    assert epochs[0] < epochs[3]
    assert run(path) == 0
    same(load(tmp_path / "state.model"), load(tmp_path / "whole.model"), X)
    assert {each.name for each in tmp_path.iterdir()} == {
        *("state", "state.model", "whole", "whole.model")
    }


# -- Other fits ----------------------------------------------------------------------


@pytest.fixture
def done(many_rhythms, tmp_path):
    path = tmp_path / "state"
    classifier(**WITHOUT_TEXT).fit(*many_rhythms, checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_epochs": 5}, "max_epochs was 4, but is now 5"),
        ({"random_state": 1}, "random_state was 0, but is now 1"),
        ({"loss_weights": {"class": 2}}, r"loss_weights was None, but is now .*class"),
        ({"text": "labels"}, "text was None, but is now 'labels'"),
    ],
)
def test_a_fit_with_other_parameters_is_told_which(change, message, many_rhythms, done):
    before = done.read_bytes()
    model = classifier(**WITHOUT_TEXT | change)
    with pytest.raises(ValueError, match=f"another fit: {message}.*remove the file"):
        model.fit(*many_rhythms, checkpoint=done)
    assert done.read_bytes() == before


def test_a_fit_to_other_data_is_told_which(many_rhythms, done):
    X, y = many_rhythms
    fit = partial(classifier(**WITHOUT_TEXT).fit, checkpoint=done)
    other = X.copy()
    other[3, 1, 7] += 1e-9
    with pytest.raises(ValueError, match=r"fit: X \(of shape .*\) has different con"):
        fit(other, y)
    with pytest.raises(
        ValueError, match=r"X was of shape \(60, 3, 40\), but .*now .*59"
    ):
        fit(X[1:], y[1:])
    with pytest.raises(ValueError, match=r"fit: y \(60 labels of 3 classes\) has"):
        fit(X, np.roll(y, 1))
    with pytest.raises(ValueError, match="sample_weight of fit was None, but is now"):
        fit(X, y, sample_weight=np.arange(1, 61))
    with pytest.raises(ValueError, match="groups of fit was None, but is now given"):
        fit(X, y, groups=np.arange(60) % 4)
    with pytest.raises(ValueError, match="fit: init was None, but is now a model"):
        fit(X, y, init=classifier(max_epochs=0).fit(X, y))
    # Folds have other data, and must not use the checkpoints of other folds.
    with pytest.raises(ValueError, match="another fit: X"):
        cross_val_score(
            classifier(**WITHOUT_TEXT),
            *(X, y),
            cv=2,
            params={"checkpoint": done},
            error_score="raise",
        )


def test_a_training_that_starts_otherwise_is_refused(many_rhythms, done, monkeypatch):
    """Another version of a package may compute other features."""
    scale = FeatureScaler.__call__

    def otherwise(self, features):
        return scale(self, features) * np.float32(1 + 1e-6)

    monkeypatch.setattr(FeatureScaler, "__call__", otherwise)
    with pytest.raises(ValueError, match="different initial weights"):
        classifier(**WITHOUT_TEXT).fit(*many_rhythms, checkpoint=done)


def test_facts_do_not_depend_on_the_process_or_on_types():
    def encode(texts):
        return np.zeros((len(texts), 2))

    assert fingerprint({"a": (1, 2.0)}) == fingerprint(
        {"a": [np.int64(1), np.float32(2)]}
    )
    assert fingerprint(TextEncoder("hashing", verbose=1)) == fingerprint(
        TextEncoder("hashing")
    )
    assert fingerprint(TextEncoder("hashing")) != fingerprint(TextEncoder("minilm"))
    assert "0x" not in fingerprint(encode).shown
    table = {"walk": np.arange(3.0), "run": np.ones(3)}
    assert fingerprint(table) == fingerprint(dict(reversed(table.items())))
    assert fingerprint(table) != fingerprint(table | {"run": np.zeros(3)})


def test_a_checkpoint_needs_a_seed(many_rhythms, tmp_path):
    model = classifier(random_state=None)
    with pytest.raises(ValueError, match="random_state must be an int"):
        model.fit(*many_rhythms, checkpoint=tmp_path / "state")


# -- Damaged files and invalid paths -------------------------------------------------


def test_damaged_and_foreign_files_are_refused_and_kept(many_rhythms, done, tmp_path):
    model = classifier(**WITHOUT_TEXT)
    good = done.read_bytes()
    fitted = model.fit(*many_rhythms, checkpoint=done)
    rng = np.random.default_rng(0)
    changed = bytearray(good)
    changed[int(rng.integers(len(good) // 2, len(good)))] ^= 255
    for content, message in (
        (bytes(changed), "damaged.*Remove the file"),
        (good[:-10], "truncated"),
        (b"", "not a checkpoint"),
        (pickle.dumps({}), "not a checkpoint"),
        (save(fitted, tmp_path / "model").read_bytes(), "not a checkpoint"),
    ):
        done.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            model.fit(*many_rhythms, checkpoint=done)
        assert done.read_bytes() == content


@pytest.mark.parametrize("lost", ["history", "generator", "weights"])
def test_a_state_that_lacks_something_is_refused(
    lost, many_rhythms, tmp_path, always_due
):
    X, y = many_rhythms
    path = tmp_path / "state"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 3)
        classifier(**WITHOUT_TEXT).fit(X, y, checkpoint=path)
    content, arrays, _ = unpack(_FORMAT, path.read_bytes(), path)
    if lost == "history":
        content["numbers"] = {}
    else:
        start = {"weights": "model.head"}.get(lost, lost)
        arrays = {name: each for name, each in arrays.items() if start not in name}
    path.write_bytes(pack(_FORMAT, content, arrays))
    with pytest.raises(ValueError, match=r"state is damaged: its content is invalid"):
        classifier(**WITHOUT_TEXT).fit(X, y, checkpoint=path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content, arrays: nan(arrays, "model.head.weight"),
        lambda content, arrays: nan(arrays, average(arrays)),
        lambda content, arrays: shorter(arrays, average(arrays)),
        lambda content, arrays: shorter(arrays, "model.scaler"),
        lambda content, arrays: arrays.pop(average(arrays)),
        lambda content, arrays: arrays.update({"best.head.weight": np.ones((2, 2))}),
        lambda content, arrays: arrays.update(generator=np.zeros(10, np.uint8)),
        lambda content, arrays: content["numbers"].update(kept={"head": "3"}),
        lambda content, arrays: content["numbers"].update(kept={"head": 10**9}),
        lambda content, arrays: content["numbers"].update(thresholds={"head": None}),
        lambda content, arrays: content["numbers"].update(earlier=3),
        lambda content, arrays: content["numbers"].update(history=[{"a": "b"}]),
        lambda content, arrays: content["numbers"].update(history=3),
        lambda content, arrays: content.update(numbers=[]),
        lambda content, arrays: content.update(facts={"X": [[], {}, 3]}),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, state_of_epoch, many_rhythms):
    path, state = state_of_epoch
    content, arrays, _ = unpack(_FORMAT, state, path)
    change(content, arrays)
    path.write_bytes(pack(_FORMAT, content, arrays))
    with pytest.raises(ValueError, match=r"state is damaged: its content is invalid"):
        classifier(**WITHOUT_TEXT).fit(*many_rhythms, checkpoint=path)


def average(arrays):
    return next(name for name in arrays if name.endswith("exp_avg"))


def nan(arrays, name):
    arrays[name].flat[0] = np.nan


def shorter(arrays, name):
    arrays[name] = arrays[name][:-1].copy()


@pytest.fixture
def state_of_epoch(many_rhythms, tmp_path, always_due):
    path = tmp_path / "state"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 3)
        classifier(**WITHOUT_TEXT).fit(*many_rhythms, checkpoint=path)
    return path, path.read_bytes()


def fail_to_write(monkeypatch, times):
    """Simulate a full disk from a given write on."""
    fsync, count = os.fsync, [0]

    def fail(number):
        count[0] += 1
        if count[0] > times:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", fail)


def test_a_full_disk_is_told_before_the_first_epoch(
    many_rhythms, tmp_path, monkeypatch
):
    n_steps = count_calls(monkeypatch, DualBranchModel, "forward")
    fit = partial(classifier(**WITHOUT_TEXT).fit, checkpoint=tmp_path / "state")
    message = r"No space left.*state"
    with monkeypatch.context() as patch, pytest.raises(OSError, match=message):
        fail_to_write(patch, 0)
        fit(*many_rhythms)
    n_batches = 2  # number of batches of held-out cases
    assert n_steps[0] <= n_batches
    assert not list(tmp_path.iterdir())
    fit(*many_rhythms)
    assert n_steps[0] >= 4  # one step per epoch


def test_a_disk_that_fills_up_costs_one_epoch(
    many_rhythms, tmp_path, monkeypatch, always_due
):
    X, y = many_rhythms
    fit = partial(classifier(**WITHOUT_TEXT).fit, checkpoint=tmp_path / "state")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="space") as told:
        fail_to_write(patch, 3)
        fit(X, y)
    assert "fit again" in told.value.__notes__[0]
    assert [each.name for each in tmp_path.iterdir()] == ["state"]
    same(fit(X, y), classifier(**WITHOUT_TEXT).fit(X, y), X)


def test_places_that_cannot_be_written_are_told_at_once(
    many_rhythms, tmp_path, monkeypatch
):
    def deny(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    n_fits = count_calls(monkeypatch, ShapeTokenizer, "fit")
    for path, error in (
        (tmp_path, IsADirectoryError),
        (tmp_path / "no" / "state", FileNotFoundError),
    ):
        with pytest.raises(error):
            classifier().fit(*many_rhythms, checkpoint=path)
    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(PermissionError, match=r"denied.*state"):
        classifier().fit(*many_rhythms, checkpoint=tmp_path / "state")
    assert not list(tmp_path.iterdir())
    assert n_fits == [0]  # the error is raised before fitting
    classifier(max_epochs=0).fit(*many_rhythms)
    assert n_fits == [1]


# -- Interrupts and divergence -------------------------------------------------------


def stop_in_epoch(monkeypatch, epoch, error):
    """Raise an error in the second step of an epoch."""
    get_loss = _Net.get_loss

    def failing(self, *args, **kwargs):
        if len(self.history) == epoch and len(self.history[-1]["batches"]) == 1:
            return error(get_loss(self, *args, **kwargs))
        return get_loss(self, *args, **kwargs)

    monkeypatch.setattr(_Net, "get_loss", failing)


def interrupt(loss):
    raise KeyboardInterrupt


def not_a_number(loss):
    return loss * float("nan")


@pytest.fixture
def patient(monkeypatch):
    """Disable early stopping, and let the loss decrease in each epoch."""
    monkeypatch.setattr("sktext_vq._training.callbacks._PATIENCE", 100)
    monkeypatch.setattr(_Net, "held_out_losses", lambda self: {"class": 1e9})


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (interrupt, UserWarning, "interrupted after 2 of 4 epochs.*best weights"),
        (not_a_number, ConvergenceWarning, "became nan in epoch 3.*after epoch 2, and"),
    ],
)
def test_what_ends_training_leaves_the_model_of_the_epochs_before(
    error, kind, message, many_rhythms, monkeypatch, patient
):
    X, y = many_rhythms
    expected = classifier(max_epochs=2, **WITHOUT_TEXT).fit(X, y)
    assert expected.network_.kept["head"] > 0
    stop_in_epoch(monkeypatch, 3, error)
    with pytest.warns(kind, match=message) as caught:
        model = classifier(**WITHOUT_TEXT).fit(X, y)
    assert caught[0].filename == __file__  # the warning refers to the call of fit
    assert len(model.history_) == 2
    same(model, expected, X)
    assert (model.predict(X) == y).mean() > 0.9


def test_an_interrupt_before_the_first_epoch_ends_fit(many_rhythms, monkeypatch):
    stop_in_epoch(monkeypatch, 1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier(**WITHOUT_TEXT).fit(*many_rhythms)


def test_an_interrupted_fit_goes_on_at_the_next_call(
    many_rhythms, tmp_path, monkeypatch, always_due
):
    X, y = many_rhythms
    fit = partial(classifier(**WITHOUT_TEXT).fit, checkpoint=tmp_path / "state")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in_epoch(patch, 1, interrupt)
        fit(X, y)
    same(fit(X, y), classifier(**WITHOUT_TEXT).fit(X, y), X)
