"""Ends what a stack has started when the stack itself was killed. Run as a file, with nothing but the standard library.

It reads lines from stdin: `+GROUP` for a process group that was started, `-GROUP` for one that has ended. Stdin ends
with the stack, however that ends; then the groups are ended, the last ones first and the first one, the server that
the others need, at the very end.
"""

import os
import signal
import sys
import time

GRACE_S = 5.0


def main() -> None:
    """Wait for the end of stdin, then end every group that is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, None] = {}
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups[group] = None
        else:
            groups.pop(group, None)
    first, *others = list(groups) or [0]
    _end(others)
    _end([first] if first else [])


def _end(groups: list[int]) -> None:
    deadline = time.monotonic() + GRACE_S
    left = [group for group in groups if _tell(group, signal.SIGTERM)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [group for group in left if _tell(group, 0)]
    for group in left:
        _tell(group, signal.SIGKILL)


def _tell(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
