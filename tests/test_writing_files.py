"""Files are written atomically, and replace regular files only."""

import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

from sktext_vq import PromptBank, VQTextClassifier, export_onnx, load, save
from sktext_vq._io.read import write_table
from sktext_vq._utils.files import check_writable, replace_file
from sktext_vq.inspection import write_report

posix = pytest.mark.skipif(os.name == "nt", reason="other kinds of files")


def small_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 1, 40)).cumsum(axis=2)
    X[::2] = rng.normal(size=(6, 1, 40))
    return X, np.array(["noise", "walk"] * 6)


@pytest.fixture(scope="module")
def model():
    options = {"max_epochs": 0, "text_encoder": "hashing", "random_state": 0}
    return VQTextClassifier(16, max_features=60, **options).fit(*small_data())


def train(model, path):
    parameters = model.get_params() | {"max_epochs": 1, "text": None}
    VQTextClassifier(**parameters).fit(*small_data(), checkpoint=path)


WRITERS = {
    "model": save,
    "ONNX": export_onnx,
    "report": lambda model, path: write_report(model, *small_data(), path),
    "table": lambda model, path: write_table(pd.DataFrame({"a": [1]}), path),
    "bank": lambda model, path: PromptBank().to_json(path, ["walking"]),
    "written bank": lambda model, path: PromptBank.from_llm(
        lambda prompt: "to walk", ["walking"], cache=path
    ),
    "checkpoint": train,
}


def special(kind, path):
    """Create a special file, and return a function that closes it."""
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        return listener.close
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "link to nowhere":
        path.symlink_to(path.parent / "no" / "where.csv")
    elif kind == "link in a circle":
        path.symlink_to(path)
    return lambda: None


@posix
@pytest.mark.parametrize("writer", list(WRITERS))
def test_no_writer_replaces_a_fifo(writer, model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sktext_vq._features.scaling.Scaler.fit", None
    )  # the error must be raised before any computation
    path = tmp_path / "out.csv"
    os.mkfifo(path)
    with pytest.raises(OSError, match=r"out\.csv is a FIFO.*Use another path"):
        WRITERS[writer](model, path)
    assert stat.S_ISFIFO(path.lstat().st_mode)
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]


@posix
@pytest.mark.parametrize(
    "kind",
    [
        *("folder", "FIFO", "socket"),
        *("link to a device", "link to nowhere", "link in a circle"),
    ],
)
def test_special_files_are_not_replaced(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    path = tmp_path / "out.csv"
    close = special(kind, path.relative_to(tmp_path) if kind == "socket" else path)
    before = path.lstat()[:7]  # without the access time
    for write in (lambda: replace_file(path, b"new"), lambda: check_writable(path)):
        with pytest.raises(OSError, match=r"out\.csv"):
            write()
    assert path.lstat()[:7] == before
    assert os.listdir(tmp_path) == ["out.csv"]
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    close()


@posix
@pytest.mark.parametrize("writer", ["model", "table", "bank", "checkpoint"])
def test_links_are_followed(writer, model, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link, second = tmp_path / "link.csv", tmp_path / "second.csv"
    link.symlink_to("elsewhere/target.csv")  # the target does not exist yet
    second.symlink_to(link)
    WRITERS[writer](model, second)
    assert link.is_symlink() and second.is_symlink()
    assert os.listdir(folder) == ["target.csv"]
    assert len(os.listdir(tmp_path)) == 3
    first = (folder / "target.csv").stat()
    WRITERS[writer](model, link)
    assert (folder / "target.csv").stat().st_size == first.st_size > 0


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o666])
def test_permissions_are_kept(mode, tmp_path):
    path = tmp_path / "out"
    path.touch()
    path.chmod(mode)
    replace_file(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


@posix
def test_a_new_file_has_the_permissions_of_other_new_files(tmp_path):
    (tmp_path / "usual").touch()
    replace_file(tmp_path / "out", b"new")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="for root only"
)
def test_owner_and_group_are_kept(tmp_path):
    path = tmp_path / "out"
    path.touch()
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    replace_file(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)
    assert stat.S_IMODE(found.st_mode) == 0o640


@posix
def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # also for root
    with pytest.raises(PermissionError, match=r"out is read-only"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    for name in ("a" * 255, "é" * 127):
        replace_file(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(os.listdir(tmp_path)) == 2


def test_threads_that_save_to_one_path_do_not_disturb_each_other(model, tmp_path):
    path, errors = tmp_path / "model", []

    def write():
        for _ in range(5):
            try:
                save(model, path)
                load(path)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert os.listdir(tmp_path) == ["model"]


def write_often(path, letter):
    for _ in range(30):
        replace_file(path, letter * 50_000)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_processes_that_write_to_one_path_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "out"
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=write_often, args=(path, bytes([letter])))
        for letter in b"abcd"
    ]
    for child in children:
        child.start()
    while any(child.is_alive() for child in children):
        if path.exists():
            content = path.read_bytes()
            assert content == content[:1] * 50_000
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert os.listdir(tmp_path) == ["out"]


@posix
def test_files_of_killed_processes_are_removed(tmp_path):
    path = tmp_path / "out"
    code = """
import os, sys
from pathlib import Path
from sktext_vq._utils import files
files.os.fsync = lambda number: os.kill(os.getpid(), 9)
files.replace_file(Path(sys.argv[1]), b"half")
"""
    subprocess.run([sys.executable, "-c", code, path], check=False)
    (left,) = os.listdir(tmp_path)
    assert left != "out"
    # Files of a running process, and of a process on another machine, are kept.
    parent, elsewhere = left.split("."), left.split(".")
    parent[-4] = str(os.getppid())
    elsewhere[-5] += "-other"
    others = {".".join(parent), ".".join(elsewhere)}
    for name in others:
        (tmp_path / name).touch()
    replace_file(path, b"whole")
    assert set(os.listdir(tmp_path)) == {"out", *others}
