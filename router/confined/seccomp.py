"""Seccomp: system calls that a process will not make, refused by the kernel from now on.

What a decoder needs differs between libraries and their versions, so that what is refused is listed and not what is
allowed: sockets, programs, processes, other processes, changes to files, and kernel interfaces with a history of holes.
Must not know what the process is for.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NOT_PERMITTED, _NO_SUCH_CALL = 1, 38
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_OF_A_THREAD = 0x10000
_FOREIGN_CALLS_FROM = 0x40000000
"""Numbers of another interface of x86-64, through which the same calls can be made."""

# numbers from the kernel's own tables: x86-64, arm64; those from 424 on are the same everywhere
_REFUSED = {
    "sockets": ("41 42 43 44 46 49 50 53 288", "198 199 200 201 202 203 206 211 242"),
    "programs and processes": ("57 58 59 322", "221 281"),
    "other processes": ("101 129 200 297 310 311 312 424 434 438", "117 130 138 240 270 271 272 424 434 438"),
    "names of files": ("82 83 84 85 86 87 88 133 258 259 263 264 265 266 316", "33 34 35 36 37 38 276"),
    "files": ("76 90 91 92 93 94 132 235 260 261 268 280 304 452", "45 52 53 54 55 88 265 452"),
    "attributes of files": ("188 189 190 197 198 199", "5 6 7 14 15 16"),
    "mounts": ("155 161 165 166 272 308 428 429 430 431 432 442", "39 40 41 51 97 268 428 429 430 431 432 442"),
    "shared memory and queues": ("29 64 68 240", "180 186 190 194"),
    "kernel": (
        "103 169 175 176 246 248 249 250 298 313 320 321 323 425 426 427",
        "104 105 106 116 142 217 218 219 241 273 280 282 294 425 426 427",
    ),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_OPEN, _OPENAT, _CLONE, _KILL, _TGKILL, _PRLIMIT = (2, -1), (257, 56), (56, 220), (62, 129), (234, 131), (302, 261)
_CLONE3, _OPENAT2 = 435, 437


def restrict() -> str:
    """Refuse the calls that are listed, for this thread and those it starts; return what is in force.

    Raises `OSError` where the kernel does not filter calls or the machine's numbers are not known here.
    """
    if platform.machine() not in _MACHINES:
        raise OSError(_NO_SUCH_CALL, f"the calls of {platform.machine()} are not known")
    column, machine = _MACHINES[platform.machine()]
    program = _program(column, machine)
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    given = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    if libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, given, 0, 0):
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
    return "seccomp"


def _program(column: int, machine: int) -> bytes:
    """Return the filter: each rule looks at the call's number and either decides or leaves it to the next."""
    refuse, absent = _step(_RETURN, _REFUSE | _NOT_PERMITTED), _step(_RETURN, _REFUSE | _NO_SUCH_CALL)
    steps = [_step(_LOAD, _MACHINE_AT), _step(_EQUAL, machine, 1, 0), refuse, _step(_LOAD, _NUMBER_AT)]
    steps += [_step(_AT_LEAST, _FOREIGN_CALLS_FROM, 0, 1), refuse]
    for number in (_CLONE3, _OPENAT2):  # what they ask for lies in memory; libraries then use the older calls
        steps += [_step(_EQUAL, number, 0, 1), absent]
    for call, argument in ((_OPEN, 1), (_OPENAT, 2)):
        steps += _unless(call[column], argument, _step(_ANY_BIT, _WRITES, 1, 0))
    steps += _unless(_CLONE[column], 0, _step(_ANY_BIT, _OF_A_THREAD, 0, 1))
    for call in (_KILL, _TGKILL):
        steps += _unless(call[column], 0, _step(_EQUAL, os.getpid(), 0, 1))
    steps += _unless(_PRLIMIT[column], 0, _step(_EQUAL, 0, 0, 1))
    for calls in _REFUSED.values():
        for call_number in calls[column].split():
            steps += [_step(_EQUAL, int(call_number), 0, 1), refuse]
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _unless(number: int, argument: int, test: bytes) -> list[bytes]:
    """Return the rule that allows a call only where `test` goes on with the next step, and not with the one after."""
    if number < 0:
        return []
    return [
        _step(_EQUAL, number, 0, 4),
        _step(_LOAD, _ARGUMENTS_AT + 8 * argument),
        test,
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE | _NOT_PERMITTED),
    ]


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jump_true, jump_false, value)
