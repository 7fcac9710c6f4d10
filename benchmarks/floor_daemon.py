"""The floor as a process: an idle APScheduler date job at each edge, and a LISTEN; at either it runs the floor's SQL.

Run as `python -m benchmarks.floor_daemon URL`; it says `event=ready` when its timers are armed.
"""

import select
import sys
from collections import defaultdict
from datetime import UTC, datetime
from threading import Thread

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.date import DateTrigger
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks import floor
from benchmarks.server import connect, run


def main() -> None:
    """Wait for edges and notifications until killed."""
    url = sys.argv[1]
    timers = BlockingScheduler(timezone=UTC, executors={"default": DebugExecutor()})
    with_sql = floor.connection(url)
    instances = _instances(with_sql)
    for opens_at, ids in _edges(with_sql).items():
        timers.add_job(floor.open_instances, DateTrigger(opens_at), (with_sql, ids), misfire_grace_time=None)
    Thread(target=_follow, args=(connect(url), floor.connection(url), instances), daemon=True).start()
    print("event=ready", file=sys.stderr, flush=True)
    timers.start()


def _instances(connection: Connection) -> dict[int, int]:
    return dict(run(connection, "SELECT session_id, session_instance_id FROM activation_window WHERE phase = 'ahead'"))


def _edges(connection: Connection) -> dict[datetime, list[int]]:
    edges: dict[datetime, list[int]] = defaultdict(list)
    ahead = "SELECT opens_at, session_instance_id FROM activation_window WHERE phase = 'ahead' ORDER BY 2"
    for opens_at, id_ in run(connection, ahead):
        edges[opens_at].append(id_)
    return edges


def _follow(listening: Connection, with_sql: Connection, instances: dict[int, int]) -> None:
    run(listening, "LISTEN session_changed")
    while True:
        select.select([listening.fileno()], [], [])
        listening.poll()
        if listening.notifies:
            listening.notifies.clear()
            floor.follow_edits(with_sql, instances)


if __name__ == "__main__":
    main()
