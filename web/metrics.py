"""The metrics of the whole product for Prometheus, read from the tables: on the platform a worker serves no requests.

Each daemon counts from its start on and publishes the counters with its heartbeat, so they carry its host and process
id. Those of a daemon that ended are shown for a while more, so that a scrape sees its last ones. What the sweep did is
counted in the log of flips, which is pruned: that is a figure of the last day.
"""

from collections.abc import Iterator
from datetime import timedelta

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from core.reconcile.counters import BOUNDS
from core.store import heartbeats
from core.store.heartbeats import HeartbeatRow
from core.store.views import pages, places, reports
from web.host import host, transaction

LAST_DAY = timedelta(days=1)
ALIVE_WITHIN = timedelta(seconds=10)
SHOWN_FOR = timedelta(minutes=5)


def page() -> Response:
    """Return the metrics; they are public, because they count things and name no people."""
    registry = CollectorRegistry()
    with transaction() as connection:
        registry.register(_Tables(connection))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Tables(Collector):
    """Reads the tables at each scrape, so that every process of the web service gives the same answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def describe(self) -> Iterator[Metric]:
        """Describe nothing, so that `register` does not ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._daemons()
        yield from self._counters()
        connection = self._connection
        yield _gauge("seisiun_active_instances", "Instances that are on now", places.count_active(connection))
        yield _gauge(
            "seisiun_unreadable_sessions",
            "Sessions whose recurrence or zone cannot be read, or whose pass failed",
            len(reports.unreadable(connection)),
        )
        yield _gauge(
            "seisiun_deferred_sessions",
            "Sessions with an edge or a request that is overdue by more than two seconds; counts up to 100",
            len(reports.overdue(connection, reports.LATE)),
        )
        yield _gauge("seisiun_open_streams", "Open streams of the process that answers", host().hub.streams)

    def _daemons(self) -> Iterator[Metric]:
        daemons = heartbeats.heartbeats(self._connection)
        alive = [daemon for daemon in daemons if daemon.beat_age < ALIVE_WITHIN]
        listening = [daemon for daemon in alive if daemon.listening_since]
        yield _gauge("seisiun_daemons_alive", "Daemons with a heartbeat in the last ten seconds", len(alive))
        yield _gauge("seisiun_daemons_listening", "Live daemons that receive notifications", len(listening))
        if daemons:
            age = min(daemon.beat_age for daemon in daemons).total_seconds()
            yield _gauge("seisiun_beat_age_seconds", "Seconds since the latest heartbeat", age)

    def _counters(self) -> Iterator[Metric]:
        daemons = self._counting()
        build = GaugeMetricFamily(
            "seisiun_build_info", "Release and zone data", labels=["daemon", "version", "zone_data"]
        )
        flips = _counter("seisiun_flips", "Flips", "cause", "active")
        late = HistogramMetricFamily("seisiun_flip_lateness_seconds", "How late flips were", labels=["daemon"])
        misses = _counter("seisiun_misses", "Flips that were more than five seconds late")
        passes = _counter("seisiun_passes", "Rounds of passes")
        seconds = _counter("seisiun_pass_seconds", "Seconds that they took")
        reconnects = _counter("seisiun_reconnects", "Losses of a connection to the database", "part")
        lost = _counter("seisiun_log_lines_lost", "Log lines that could not be written")
        for name, daemon in daemons.items():
            counted = daemon.counters
            build.add_metric([name, daemon.version, daemon.zone_version], 1)
            for cause, active, count in counted["flips"]:
                flips.add_metric([name, cause, str(active).lower()], count)
            late.add_metric([name], [(bound, counted["late"][bound]) for bound in BOUNDS], counted["late_seconds"])
            misses.add_metric([name], counted["misses"])
            passes.add_metric([name], counted["passes"])
            seconds.add_metric([name], counted["pass_seconds"])
            for part, count in sorted(counted["reconnects"].items()):
                reconnects.add_metric([name, part], count)
            lost.add_metric([name], counted["log_lines_lost"])
        yield from (build, flips, late, misses, passes, seconds, reconnects, lost)
        yield _gauge(
            "seisiun_sweep_repairs_last_day",
            "Flips of the last day that the sweep did more than two seconds late",
            pages.repairs_by_sweep(self._connection, LAST_DAY, reports.LATE),
        )

    def _counting(self) -> dict[str, HeartbeatRow]:
        """Return the daemons that have counted lately, by host and process id; of two with one name the later."""
        found = [*heartbeats.ended(self._connection), *heartbeats.heartbeats(self._connection)]
        recent = [each for each in found if each.counters and abs(each.beat_age) < SHOWN_FOR]
        return {f"{each.host}:{each.pid}": each for each in sorted(recent, key=lambda each: each.beat_at)}


def _counter(name: str, documentation: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, f"{documentation}, from the daemon's start on", labels=["daemon", *labels])


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
