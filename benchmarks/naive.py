"""The naive design: an APScheduler job for each instance, and each its own transaction, on a pool of threads.

Run as `python -m benchmarks.naive URL`; it says `event=ready` when its jobs are added. It knows no edits, no second
process and no failure; it is here to be compared with, as quick as that design can be made.
"""

import sys
from datetime import UTC
from threading import local

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.date import DateTrigger
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks import floor
from benchmarks.server import connected, run

THREADS = 10  # APScheduler's own default
_of_thread = local()


def main() -> None:
    """Flip each instance in a job of its own, until killed."""
    url = sys.argv[1]
    scheduler = BlockingScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(THREADS)},
        # Its defaults would drop, for good, whatever waits for a thread for over a second.
        job_defaults={"misfire_grace_time": None, "max_instances": 1},
    )
    with connected(url) as connection:
        ahead = run(connection, "SELECT opens_at, session_instance_id FROM activation_window WHERE phase = 'ahead'")
    for opens_at, id_ in ahead:
        scheduler.add_job(_open, DateTrigger(opens_at), (url, id_))
    print("event=ready", file=sys.stderr, flush=True)
    scheduler.start()


def _open(url: str, session_instance_id: int) -> None:
    floor.open_instances(_connection(url), [session_instance_id])


def _connection(url: str) -> Connection:
    if not hasattr(_of_thread, "connection"):
        _of_thread.connection = floor.connection(url)
    found: Connection = _of_thread.connection
    return found


if __name__ == "__main__":
    main()
