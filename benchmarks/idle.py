"""A process that does nothing: the daemon's libraries, a connection, a LISTEN, and an APScheduler with one far job.

Run as `python -m benchmarks.idle URL`. It is the floor of what a daemon costs to start, to keep and to leave alone.
"""

import select
import sys
from datetime import UTC
from threading import Thread

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from sqlalchemy import text

from benchmarks.server import connect, run, value
from core.db import create_engine
from scheduler import daemon  # noqa: F401 -- for what it imports


def main() -> None:
    """Idle until killed."""
    url = sys.argv[1]
    with create_engine(url).connect() as connection:
        connection.execute(text("SELECT 1"))
    raw = connect(url)
    timers = BackgroundScheduler(timezone=UTC)
    timers.start()
    timers.add_job(print, DateTrigger(value(raw, "SELECT now() + interval '1 day'")))
    run(raw, "LISTEN nothing")
    print("event=ready", file=sys.stderr, flush=True)
    listener = Thread(target=select.select, args=([raw.fileno()], [], []))
    listener.start()
    listener.join()


if __name__ == "__main__":
    main()
