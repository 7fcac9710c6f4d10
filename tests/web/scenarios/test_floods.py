"""A flood of notifications: every role that may connect to the database may send them."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.store.notify import ACTIVE_CHANGED, SESSION_CHANGED
from tests import data
from tests.scheduler.daemon_process import DaemonProcess, eventually
from tests.web.gunicorn_process import Gunicorn
from tests.web.open_streams import OpenStreams
from tests.web.site import World

PAYLOADS = 100_000
TOLERATED_MB = 6

pytestmark = [pytest.mark.alone, pytest.mark.process, pytest.mark.usefixtures("database_of_its_own")]


def test_a_flood_of_notifications_leaves_no_memory_behind(
    world: World, app: Connection, database_url: str, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    daemon = DaemonProcess(tmp_path / "daemon.log", DATABASE_URL=database_url)
    pages = Gunicorn(tmp_path / "gunicorn.log", "tests.web.host_app:app", DATABASE_URL=database_url)
    try:
        with OpenStreams(pages.port, "/tunes/stream") as opened:
            opened.open(1)
            eventually(lambda: daemon.events("ready") and opened.streams[0].events, "both are ready")
            worker = psutil.Process(pages.pid).children()[0].pid
            before = settled(daemon.pid, worker)
            begun = time.monotonic()
            flood(app)
            data.change_session(app, world.muellers, name="After the flood")
            eventually(lambda: "After the flood" in str(opened.streams[0].html), "the page shows an edit", 60)
            took = time.monotonic() - begun
            after = settled(daemon.pid, worker)
    finally:
        pages.kill()
        daemon.kill()
        sys.stdout.write(daemon.log + pages.log)
    grown = [now - then for then, now in zip(before, after, strict=True)]
    figures(
        f"2 * {PAYLOADS:,} notifications: an edit shows {took:.1f} s after they began; daemon and pages were "
        f"{before[0]:.1f} and {before[1]:.1f} MB, and grew by {grown[0]:.1f} and {grown[1]:.1f} MB"
    )
    assert max(grown) < TOLERATED_MB


def flood(app: Connection) -> None:
    for channel in (SESSION_CHANGED, ACTIVE_CHANGED):
        data.execute(app, f"SELECT pg_notify('{channel}', (n * 7919)::text) FROM generate_series(1, {PAYLOADS}) n")


def settled(*pids: int) -> list[float]:
    """Return the sizes in MB once the processes have nothing more to do."""

    def used() -> float:
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)

    last = used() - 1
    while (now := used()) - last > 0.1:
        last = now
        time.sleep(0.7)
    return [psutil.Process(pid).memory_info().rss / 2**20 for pid in pids]
