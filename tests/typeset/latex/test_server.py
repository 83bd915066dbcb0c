import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from gpurender.typeset.latex import limits, server
from gpurender.typeset.latex.box import EngineError
from gpurender.typeset.latex.server import Server

pytestmark = pytest.mark.usefixtures("tex")

START = """
import sys, time
from gpurender.typeset.latex.server import Server
server = Server()
print(server._process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def one():
    server_ = Server()
    yield server_
    server_.close()


def _ends(pid, seconds=10):
    """Whether a process ends; a zombie has."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_items_come_back_as_pages_and_marks(one):
    for careful in (False, True):
        outcome = one.run([("I", "{x }"), ("I", r"{\nosuchword }"), ("D", r"{\frac12 }")], careful)
        assert outcome.reason == ""
        assert len(outcome.marks) == 3
        middle = outcome.log[outcome.marks[0] : outcome.marks[1]]
        assert "! Undefined control sequence" in middle
        assert "\n!" not in outcome.log[outcome.marks[1] : outcome.marks[2]]


def test_more_than_the_pipes_hold(one):
    calls = [("I", "{" + "x y " * 4000 + "}")] * 200
    for _ in range(2):
        outcome = one.run(calls, False)
        assert (outcome.reason, len(outcome.marks)) == ("", 200)


def test_its_folder_is_gone_once_it_runs(one):
    assert not os.path.exists(os.readlink(f"/proc/{one._process.pid}/cwd"))


def test_it_may_not_grow_without_end(one):
    with open(f"/proc/{one._process.pid}/limits") as file:
        found = {line[:25].strip(): line[26:].split()[0] for line in file}
    assert found["Max address space"] == str(limits.ADDRESS_SPACE)
    assert found["Max file size"] == str(limits.FILE_SIZE)
    assert found["Max core file size"] == "0"


def test_a_killed_one_is_told(one):
    os.kill(one._process.pid, signal.SIGKILL)
    assert one.run([("I", "{x }")], False).reason == "died"
    assert not one.alive


def test_it_ends_when_nobody_holds_it():
    pid = Server()._process.pid
    assert _ends(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(how):
    parent = subprocess.Popen([sys.executable, "-c", START], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.send_signal(how)
    parent.wait()
    assert _ends(pid)
    parent.stdout.close()


def test_a_busy_one_dies_with_its_parent_too():
    loop = START.replace("time.sleep(60)", r"server.run([('I', r'{\loop\iftrue\repeat }')] * 2000, False)")
    parent = subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    assert _ends(pid)
    parent.stdout.close()


def test_a_fork_lets_go_of_it(one):
    child = os.fork()
    if child == 0:
        ok = False
        with contextlib.suppress(BaseException):
            ok = not one.alive
            one.close()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert one.alive
    assert one.run([("I", "{x }")], False).reason == ""


def test_folders_that_nobody_holds_are_cleared(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stale, held, young, old = (tmp_path / f"{server._PREFIX}{name}" for name in ("stale", "held", "young", "old"))
    for folder in (stale, held, young, old):
        folder.mkdir()
    (stale / "lock").touch()
    os.utime(old, (0, 0))
    lock = server._lock(held)
    other = tmp_path / "somebody-elses"
    other.mkdir()
    Server().close()
    os.close(lock)
    assert sorted(tmp_path.iterdir()) == sorted([held, young, other])


def test_no_pdftex(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="apt-get install"):
        Server()


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setenv("TEXINPUTS", "/nowhere")
    with pytest.raises(EngineError, match=r"apt-get install .*texlive-latex-extra lmodern"):
        Server()


def test_a_broken_pdftex(monkeypatch, tmp_path):
    fake = tmp_path / "pdftex"
    fake.write_text("#!/bin/sh\necho the disk is full\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EngineError, match="the disk is full"):
        Server()
