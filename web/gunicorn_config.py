"""Gunicorn's settings for a host app: `gunicorn -c python:web.gunicorn_config host:app`.

A stream holds a thread for as long as it is open: there are more threads than streams may be, so that the other
requests always find one.
"""

import gc
import signal
import sys
import threading
from types import FrameType
from typing import Any

from web import drain
from web.settings import MOST_STREAMS

worker_class = "gthread"
workers = 1
threads = MOST_STREAMS + 32
graceful_timeout = 2  # streams end at once; a client that does not close may be waited for two seconds more
timeout = 30
keepalive = 5
control_socket_disable = True

SWITCH_SECONDS = 0.001
"""How long reading the whole board may keep the interpreter from the other requests at a time."""


def post_worker_init(worker: Any) -> None:
    """End the streams when the worker is told to stop; it waits for its requests, and a stream is one."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # What was imported stays: a full collection that walked it all would hold every request for half a second.
    gc.collect()
    gc.freeze()

    def end(number: int, frame: FrameType | None) -> None:
        # In a thread: the signal may have come while this one holds a lock that draining needs.
        threading.Thread(target=drain, name="seisiun drain").start()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, end)
    signal.siginterrupt(signal.SIGTERM, False)  # noqa: FBT003 -- the function's own signature
