"""A job queue: a worker of procrastinate, and a job for each instance, scheduled for its instant.

Run as `python -m benchmarks.procrastinate_worker URL POLLING_SECONDS`; it says `event=ready` when its jobs are
scheduled. What procrastinate's documentation advises: tasks are asynchronous where jobs run at once, and its pool has a
connection more than that. All other settings are its defaults.
"""

import asyncio
import sys

from procrastinate import App, PsycopgConnector
from psycopg import AsyncClientCursor
from psycopg_pool import AsyncConnectionPool

from benchmarks import floor
from benchmarks.server import Rows, connected, run

CONCURRENCY = 10  # as many jobs at once as the naive program has threads
_AHEAD = """
    SELECT opens_at, array_agg(session_instance_id ORDER BY session_instance_id)
    FROM activation_window WHERE phase = 'ahead' GROUP BY opens_at ORDER BY opens_at
"""


def main() -> None:
    """Flip each instance in a job of its own, until SIGTERM."""
    asyncio.run(_work(sys.argv[1], float(sys.argv[2])))


async def _work(url: str, polling_seconds: float) -> None:
    queue = App(connector=PsycopgConnector(conninfo=url, min_size=CONCURRENCY + 1, max_size=CONCURRENCY + 1))
    # The floor's statements go in one round trip, which psycopg 3 allows only where the client fills in the parameters.
    as_floor = {"autocommit": True, "cursor_factory": AsyncClientCursor}
    pool = AsyncConnectionPool(url, min_size=CONCURRENCY, max_size=CONCURRENCY, open=False, kwargs=as_floor)

    async def open_instance(session_instance_id: int) -> None:
        async with pool.connection() as connection:
            await connection.execute(floor.OPEN, {"ids": [session_instance_id], "cause": "timer"})

    task = queue.task(name="open_instance")(open_instance)
    async with queue.open_async(), pool:
        await pool.wait()
        await queue.schema_manager.apply_schema_async()
        for opens_at, ids in _ahead(url):
            await task.configure(schedule_at=opens_at).batch_defer_async(*({"session_instance_id": id_} for id_ in ids))
        with connected(url) as connection:  # as autovacuum would have done in a queue of long standing
            run(connection, "VACUUM ANALYZE procrastinate_jobs")
        print("event=ready", file=sys.stderr, flush=True)
        await queue.run_worker_async(concurrency=CONCURRENCY, fetch_job_polling_interval=polling_seconds)


def _ahead(url: str) -> Rows:
    with connected(url) as connection:
        return run(connection, _AHEAD)


if __name__ == "__main__":
    main()
