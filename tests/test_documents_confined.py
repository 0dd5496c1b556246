"""Processes that decode strangers' files are without network, files, programs and secrets, where the kernel can."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs import encode, picture, text_pdf

from router.confined.probe import ATTEMPTS
from router.documents import open_document, pdf_process, picture_process
from router.documents.confinement import Confinement, confinement
from workers import doctor_decoders
from workers.doctor_decoders import check_decoders

READERS = {"picture": (picture_process.POOL, encode(picture(), "PNG")), "pdf": (pdf_process.POOL, text_pdf(["hello"]))}


def means() -> str:
    found = confinement()
    assert found is not None
    return ", ".join(found.means)


needs_seccomp = pytest.mark.skipif(
    "no seccomp" in means() or sys.platform != "linux", reason="the kernel has no seccomp"
)


@needs_seccomp
def test_a_confined_process_is_refused_all_that_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        found = confinement("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(TimeoutError):
            listener.accept()
    expected = set(ATTEMPTS) if "no Landlock" not in means() else set(ATTEMPTS) - {"read a foreign file"}
    assert found is not None
    assert set(found.refused) == expected


def test_what_is_tried_works_where_nothing_is_refused(tmp_path: Path) -> None:
    """Otherwise the test above could not fail."""
    (tmp_path / "foreign").write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        places = {"new_file": str(tmp_path / "new"), "foreign_file": str(tmp_path / "foreign")}
        for attempt in ATTEMPTS.values():
            attempt({"host": "127.0.0.1", "port": port} | places)
        listener.settimeout(5)
        listener.accept()[0].close()


ALONE = """
import sys
from router.confined import {0}
from router.confined.probe import ATTEMPTS, refused
import socket, json, pathlib
try:
    print({0}.restrict({1}))
except OSError as exc:
    sys.exit(77)
asked = {{"host": "127.0.0.1", "port": 9, "new_file": sys.argv[1] + "/new", "foreign_file": sys.argv[1] + "/foreign"}}
print(*[name for name, attempt in ATTEMPTS.items() if refused(attempt, asked)], sep=", ")
"""


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("seccomp", "", set(ATTEMPTS) - {"read a foreign file"}),
        (
            "landlock",
            "[sys.prefix, sys.base_prefix, '/usr', '/lib', '/lib64']",
            set(ATTEMPTS) - {"signal another process"},
        ),
    ],
)
def test_each_means_holds_without_the_other(tmp_path: Path, name: str, arguments: str, expected: set[str]) -> None:
    (tmp_path / "foreign").write_bytes(b"")
    code = ALONE.format(name, arguments)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip(f"the kernel has no {name}")
    assert done.returncode == 0, done.stderr
    told, tried = done.stdout.splitlines()
    if told.startswith("Landlock") and int(told.rsplit(" ", 1)[1]) < 4:
        expected = expected - {"connect to the network"}
    assert expected <= set(tried.split(", "))


@needs_seccomp
@pytest.mark.parametrize("name", READERS)
def test_the_processes_that_read_documents_are_confined(name: str) -> None:
    pool, data = READERS[name]
    with open_document(data, "x") as opened:
        opened.image(1)
        (worker, *_) = pool._idle
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines())
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", READERS)
def test_they_know_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DOCROUTE_SERVICE__BROKER__URL", "redis://:a-secret@127.0.0.1/0")
    pool, data = READERS[name]
    pool.close()
    with open_document(data, "x"):
        (worker, *_) = pool._idle
        assert b"a-secret" not in Path(f"/proc/{worker.pid}/environ").read_bytes()


def test_where_the_kernel_has_neither_documents_are_read_all_the_same(tmp_path: Path) -> None:
    code = """
import sys
from router.confined import landlock, seccomp, start
def none(*_): raise OSError(38, "Function not implemented")
landlock.restrict = seccomp.restrict = none
start.main(sys.argv[1:])
"""
    script = tmp_path / "says.py"
    script.write_text("from router.confined.start import IN_FORCE\nprint(sorted(IN_FORCE.values()))\n")
    done = subprocess.run([sys.executable, "-c", code, str(script)], capture_output=True, text=True, timeout=60)
    if sys.platform == "linux":
        expected = ["no Landlock (Function not implemented)", "no seccomp (Function not implemented)"]
        assert done.stdout.strip() == str(expected), done.stderr


def test_the_doctor_says_what_is_in_force_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(found: Confinement | None) -> tuple[str, str]:
        monkeypatch.setattr(doctor_decoders, "confinement", lambda: found)
        (check,) = check_decoders()
        return check.state, check.detail

    full = Confinement(("write a file",), (), ("Landlock, version 7", "seccomp"))
    assert told(full) == ("ok", "may not write a file: Landlock, version 7, seccomp")
    state, detail = told(
        Confinement((), ("write a file",), ("no Landlock (Function not implemented)", "no seccomp (x)"))
    )
    assert state == "warn"
    assert "may write a file: no Landlock (Function not implemented)" in detail
    assert told(None)[0] == "fail"
