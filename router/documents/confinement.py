"""What the processes that decode cannot do here, found by letting one try."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from router.documents.decoder_process import start

_SCRIPT = Path(__file__).parents[1] / "confined" / "probe.py"
_PRELOAD = ("json", "pathlib", "socket")
_TIMEOUT_S = 30.0
_DISCARD_PORT = 9


@dataclass(frozen=True)
class Confinement:
    """What was tried and refused, what was tried and allowed, and by what means, in words."""

    refused: tuple[str, ...]
    allowed: tuple[str, ...]
    means: tuple[str, ...]


def confinement(host: str = "127.0.0.1", port: int = _DISCARD_PORT) -> Confinement | None:
    """Return what a confined process was refused, None where none could be asked.

    It tries to connect to `host` and `port`, to make a file in a folder of its own, to read and to change one there, to
    start a program and to signal this process with a signal that does nothing.
    """
    with tempfile.TemporaryDirectory(prefix="docroute-probe-") as folder:
        foreign = Path(folder) / "foreign"
        foreign.write_bytes(b"")
        asked = {"host": host, "port": port, "new_file": str(Path(folder) / "new"), "foreign_file": str(foreign)}
        process = start(_SCRIPT, *_PRELOAD)
        try:
            answer = json.loads(process.communicate(json.dumps(asked).encode(), _TIMEOUT_S)[0])
        except (subprocess.TimeoutExpired, ValueError, OSError):
            return None
        finally:
            process.kill()
            process.communicate()
    told: dict[str, bool] = answer["refused"]
    return Confinement(
        refused=tuple(name for name, no in told.items() if no),
        allowed=tuple(name for name, no in told.items() if not no),
        means=tuple(answer["in_force"].values()),
    )
