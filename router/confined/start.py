"""The first thing that a confined process runs: loads what the script needs, gives up its rights, runs the script.

What the kernel does not have is left out and remembered; it never keeps a document from being read.
"""

from __future__ import annotations

import importlib
import runpy
import sys

_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom")
IN_FORCE: dict[str, str] = {}
"""What is in force, or why it is not, by name: `landlock`, `seccomp`."""


def main(arguments: list[str]) -> None:
    """Run a script; the arguments are its path and the modules that are loaded before."""
    script, *preload = arguments
    for name in preload:
        importlib.import_module(name)
    confine(script)
    runpy.run_path(script, run_name="__main__")


def confine(script: str) -> None:
    """Give up all rights but that of reading what an interpreter and its libraries are made of, and the script."""
    if sys.platform != "linux":
        IN_FORCE.update(landlock=f"{sys.platform} has none", seccomp=f"{sys.platform} has none")
        return
    from router.confined import landlock, seccomp

    readable = dict.fromkeys([*_SYSTEM, sys.prefix, sys.base_prefix, *filter(None, sys.path), script])
    try:
        IN_FORCE["landlock"] = landlock.restrict(readable)
    except OSError as exc:
        IN_FORCE["landlock"] = f"no Landlock ({exc.strerror})"
    try:
        IN_FORCE["seccomp"] = seccomp.restrict()
    except OSError as exc:
        IN_FORCE["seccomp"] = f"no seccomp ({exc.strerror})"
