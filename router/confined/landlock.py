"""Landlock: the kernel's rights of a process over files and sockets, given up for good.

Called through `ctypes`, for there is no well-kept package for it. Structures, numbers and versions of the interface:
https://docs.kernel.org/userspace-api/landlock.html. Must not know what the process is for.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION_QUESTION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_SET_NO_NEW_PRIVILEGES = 38
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""Version of the interface to how many rights on files it knows, the first that many bits."""
_NETWORK_FROM, _NETWORK_RIGHTS = 4, 0b11
_SCOPES_FROM, _SCOPES = 6, 0b11


def restrict(readable: Iterable[str]) -> str:
    """Keep only the right to read below some paths, where the kernel has Landlock; return what is in force.

    Raises `OSError` where there is no Landlock or it refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _call(libc, _CREATE, None, 0, _VERSION_QUESTION)
    rights = (1 << max(count for since, count in _FILE_RIGHTS.items() if since <= version)) - 1
    ruleset = struct.pack("<Q", rights)
    if version >= _NETWORK_FROM:
        ruleset += struct.pack("<Q", _NETWORK_RIGHTS)
    if version >= _SCOPES_FROM:
        ruleset += struct.pack("<Q", _SCOPES)
    rules = _call(libc, _CREATE, ruleset, len(ruleset), 0)
    try:
        for path in readable:
            _allow(libc, rules, path)
        if libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")
        _call(libc, _RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return f"Landlock, version {version}"


def _allow(libc: ctypes.CDLL, rules: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no right
    try:
        allowed = _READ_FILE | (_READ_DIRECTORY if os.path.isdir(path) else 0)  # noqa: PTH112
        _call(libc, _ADD_RULE, rules, _PATH_BENEATH, struct.pack("<Qi", allowed, place), 0)
    finally:
        os.close(place)


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *given))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
