"""The metrics of the whole product for Prometheus, read from the tables: on the platform a worker serves no requests.

They cover the last day only: the log is pruned, and Prometheus takes a counter that shrinks for a restart.
"""

from collections.abc import Iterator
from datetime import timedelta

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from core.store import heartbeats
from core.store.views import pages, places, reports
from web.host import host, transaction

LAST_DAY = timedelta(days=1)
ALIVE_WITHIN = timedelta(seconds=10)
LATE = timedelta(seconds=2)
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0)


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
        yield from self._flips()
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
            len(reports.overdue(connection, LATE)),
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

    def _flips(self) -> Iterator[Metric]:
        flips = GaugeMetricFamily("seisiun_flips_last_day", "Flips of the last day", labels=["cause", "active"])
        for count in pages.flip_counts(self._connection, LAST_DAY):
            flips.add_metric([count.cause, str(count.active).lower()], count.flips)
        yield flips
        yield _gauge(
            "seisiun_sweep_repairs_last_day",
            "Flips of the last day that the sweep did more than two seconds late",
            pages.repairs_by_sweep(self._connection, LAST_DAY, LATE),
        )
        late = pages.lateness(self._connection, LAST_DAY, BOUNDS)
        buckets = [(str(bound), float(count)) for bound, count in late.within.items()]
        yield GaugeHistogramMetricFamily(
            "seisiun_flip_lateness_seconds_last_day",
            "How late the flips of the last day were",
            buckets=[*buckets, ("+Inf", float(late.flips))],
            gsum_value=late.seconds,
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
