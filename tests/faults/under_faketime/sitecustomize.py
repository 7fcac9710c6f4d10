"""Python imports this at its start where a daemon runs under libfaketime (and nowhere else).

libfaketime 0.9.10 hands the kernel a negative time for `clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME)`, which is what
`time.sleep` is since Python 3.11 (wolfcw/libfaketime#426). Waiting for an event that never comes is the same sleep.
"""

import threading
import time


def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = sleep  # type: ignore[assignment] # whatever can be a float will do
