"""Reports of steps on their way from forked processes to the one that serves their metrics. Knows no metric.

A pipe, because a line of less than 4 KB is written whole or not at all and because it ends with its processes: there
are no files of dead processes to sum up and to clean away. A full pipe loses reports, counted, and holds no step up.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict

from workers.runtime import StepReport

_LONGEST = 4000
_MOST_CONFIDENCES = 100


class ReportPipe:
    """Made before the fork; `send` is for the forked processes, `receive` for the one that forked."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._unsent = 0

    def send(self, report: StepReport) -> None:
        """Write a report, or count it with the next one as lost; never blocks and never raises."""
        fields = asdict(report) | {"confidences": [round(c, 4) for c in report.confidences[:_MOST_CONFIDENCES]]}
        line = json.dumps([self._unsent, fields]).encode() + b"\n"
        try:
            if len(line) > _LONGEST:
                raise BlockingIOError
            os.write(self._writing, line)
        except OSError:
            self._unsent += 1
        else:
            self._unsent = 0

    def receive(self, observe: Callable[[StepReport], None], lost: Callable[[int], None]) -> threading.Thread:
        """Start the thread that hands every report on, and the numbers of lost ones."""
        thread = threading.Thread(target=self._run, args=(observe, lost), name="report-pipe", daemon=True)
        thread.start()
        return thread

    def _run(self, observe: Callable[[StepReport], None], lost: Callable[[int], None]) -> None:
        with os.fdopen(os.dup(self._reading), "rb") as lines:
            for line in lines:
                unsent, fields = json.loads(line)
                observe(StepReport(**fields | {"confidences": tuple(fields["confidences"])}))
                lost(unsent)
