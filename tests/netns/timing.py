# SPDX-License-Identifier: Apache-2.0
"""Times of lbd on a machine that others use too: keep them off the CPU, or leave the time in the queue for it out."""

import contextlib
import os
import pathlib
import time


@contextlib.contextmanager
def undisturbed(*pids):
    """The calling thread, what it starts and these processes go before all others on the CPU meanwhile.

    Where the kernel does not allow it (a container without real-time bandwidth) times are as they come.
    """
    changed = []
    try:
        with contextlib.suppress(OSError):
            for pid in (0, *pids):
                os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))
                changed.append(pid)
        yield
    finally:
        for pid in changed:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def _queued(who) -> float:
    """Seconds that a thread was ready to run and had no CPU, since it began."""
    return int(pathlib.Path(f"/proc/{who}/schedstat").read_text().split()[1]) / 1e9


class Stopwatch:
    """Times steps in which this thread and one process take turns; the time that either was queued for a CPU apart."""

    def __init__(self, pid: int):
        self._pid = pid
        self.elapsed, self.own = [], []  # seconds per step, as on the clock and without the queue

    @contextlib.contextmanager
    def step(self):
        queued = _queued("thread-self") + _queued(self._pid)
        start = time.monotonic()
        yield
        took = time.monotonic() - start
        self.elapsed.append(took)
        self.own.append(took - (_queued("thread-self") + _queued(self._pid) - queued))
