"""Holds a transaction until an instant: the server waits for it, and looks once more for edits before it commits."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, true

from core.store.arrays import array_literal
from core.store.queue.requests import HOURS

FARTHEST = timedelta(milliseconds=50)  # to the instant; a clock that is set back must not let us hold locks for long
STOPPED_FOR = timedelta(milliseconds=100)
LATE = timedelta(milliseconds=1)  # the log may be wrong by so much about when a flip was done


def end_soon_if_stopped(connection: Connection) -> None:
    """Let the server end this transaction soon if our process is stopped: the app waits for the rows that we hold."""
    connection.execute(_END_SOON_IF_STOPPED)


_END_SOON_IF_STOPPED = select(
    func.set_config("idle_in_transaction_session_timeout", f"{STOPPED_FOR.total_seconds()}s", true())
)


def until(instant: datetime, session_ids: Iterable[int]) -> str:
    """Return the statement that waits for `instant` by the server's clock; send it in one message with the COMMIT.

    It fails, so that nothing is committed, if the instant is farther away than `FARTHEST`; if the clock goes back
    meanwhile; or if one of these sessions has a request about its hours: an edit that was committed before the instant
    counts. If the instant has passed, it puts right in the log when the flips were done.
    """
    return _UNTIL.format(
        instant=instant.isoformat(), ids=array_literal(sorted(session_ids)), farthest=FARTHEST, about=HOURS, late=LATE
    )


# It spins: pg_sleep goes by the wall clock, and so do the server's timeouts. An hour's step back would hold our locks
# for an hour. The last look has a snapshot from after the instant, so it shows every edit committed before.
_UNTIL = """
    DO $$
    DECLARE
        edge CONSTANT timestamptz := '{instant}';
        latest timestamptz := clock_timestamp();
        before timestamptz;
    BEGIN
        IF edge - latest > '{farthest}' THEN
            RAISE EXCEPTION USING MESSAGE = 'the edge is too far ahead: ' || (edge - latest);
        END IF;
        WHILE latest < edge LOOP
            before := latest;
            latest := clock_timestamp();
            IF latest < before THEN
                RAISE EXCEPTION USING MESSAGE = 'the clock was set back: ' || (before - latest);
            END IF;
        END LOOP;
        IF EXISTS (SELECT FROM plan_request WHERE session_id = ANY ('{ids}') AND about = '{about}') THEN
            RAISE EXCEPTION 'somebody has edited a session before the edge';
        END IF;
        IF latest > edge + interval '{late}' THEN
            UPDATE activation_log SET done_at = clock_timestamp() WHERE xact_id = pg_current_xact_id();
        END IF;
    END $$"""
