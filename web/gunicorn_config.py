"""Gunicorn's settings for a host app: `gunicorn -c python:web.gunicorn_config host:app`.

An open stream holds a thread. There are more threads than streams may be open, so that other requests always find a
free one.
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
graceful_timeout = 2  # streams end at once; gunicorn waits two seconds more for a client that does not close
timeout = 30
keepalive = 5
control_socket_disable = True
# gunicorn takes SCRIPT_NAME and PATH_INFO from a request's headers if a proxy of this machine passes them on. A client
# may have written them; for a proxy that takes a prefix away there is ProxyFix(x_prefix=1).
forwarder_headers = ""

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while others wait: so a read of the board does not delay requests."""


def post_worker_init(worker: Any) -> None:
    """End the streams when the worker is told to stop: it waits for open requests, and a stream is one."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # Imported objects stay; a full collection that walks through them would delay every request by half a second.
    gc.collect()
    gc.freeze()

    def end(number: int, frame: FrameType | None) -> None:
        # In a thread: the signal may have come while this one holds a lock that draining needs.
        threading.Thread(target=drain, name="seisiun drain").start()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, end)
    signal.siginterrupt(signal.SIGTERM, False)  # noqa: FBT003 -- the function's own signature
