"""Whatever is set for a role or a database, and however far away a date is, we can read it."""

from datetime import UTC, date, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, text

from core.db import connect, connection_parameters, create_engine
from core.db.casts import FIRST, LAST
from tests.core.passes import OPENS, TUESDAYS, reconcile_at
from tests.data import active_of, add_instance, add_session, execute, value

OTHERS = {
    "array_nulls": "off",
    "intervalstyle": "iso_8601",
    "datestyle": "German, DMY",
    "extra_float_digits": "-15",
    "transform_null_equals": "on",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "timezone": "Pacific/Kiritimati",
    "idle_session_timeout": "1h",
    "default_transaction_isolation": "serializable",
    "client_encoding": "LATIN1",
}
"""What ALTER ROLE or ALTER DATABASE may have set."""

FAR = [
    ("'infinity'::date", LAST.date()),
    ("'-infinity'::date", FIRST.date()),
    ("'10000-01-01'::date", LAST.date()),
    ("'9999-12-31'::date", LAST.date()),
    ("'4713-01-01 BC'::date", FIRST.date()),
    ("'0001-01-01'::date", FIRST.date()),
    ("'infinity'::timestamp", LAST),
    ("'-infinity'::timestamp", FIRST),
    ("'294276-12-31'::timestamp", LAST),
    ("'9990-12-31 00:01'::timestamp", LAST),
    ("'0044-03-15 12:00 BC'::timestamp", FIRST),
    ("'infinity'::timestamptz", LAST.replace(tzinfo=UTC)),
    ("'-infinity'::timestamptz", FIRST.replace(tzinfo=UTC)),
    ("'10000-01-01 00:00+00'::timestamptz", LAST.replace(tzinfo=UTC)),
    ("'0044-03-15 12:00+00 BC'::timestamptz", FIRST.replace(tzinfo=UTC)),
    ("NULL::date", None),
]


@pytest.mark.parametrize(("expression", "expected"), FAR, ids=[expression for expression, _ in FAR])
def test_a_date_beyond_pythons_calendar_is_read_as_the_bound(engine: Engine, expression: str, expected: object) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT {expression}")) == expected


def test_t3_an_instance_until_24_00_is_on_until_midnight_at_the_end_of_its_date(
    engine: Engine, app: Connection
) -> None:
    session = add_session(app, None)
    until_midnight = add_instance(app, session, "2026-12-01", "21:00", "24:00")
    from_midnight = add_instance(app, session, "2026-12-02", "24:00", "02:00")  # the third of December, from 0:00
    reconcile_at(engine, "2026-12-01 12:00")

    windows = "SELECT opens_at::text, closes_at::text FROM activation_window WHERE session_instance_id = %s"
    reconcile_at(engine, "2026-12-02 12:00")
    assert value(app, "SELECT error FROM session_plan") is None
    assert execute(app, windows, until_midnight) == [("2026-12-01 20:00:00+00", "2026-12-02 01:00:00+00")]
    assert execute(app, windows, from_midnight) == [("2026-12-02 23:00:00+00", "2026-12-03 03:00:00+00")]


@pytest.fixture
def other_settings(app: Connection) -> None:
    for name, setting in OTHERS.items():
        execute(app, f"ALTER DATABASE {app.info.dbname} SET {name} = {setting if ',' in setting else repr(setting)}")


READ = "SELECT NULL::int IS NULL, 0.1::float8, interval '1 day 2 hours', '{NULL}'::text[], date '2026-12-01', 'ő'"
AS_EVER = (True, 0.1, timedelta(days=1, hours=2), [None], date(2026, 12, 1), "ő")


@pytest.mark.usefixtures("other_settings")
def test_our_own_connections_mean_the_same_whatever_the_role_and_the_database_set(
    app: Connection, database_url: str
) -> None:
    session = add_session(app, TUESDAYS)
    add_instance(app, session, "2026-12-01", "19:00")  # no end: a NULL in an array
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert tuple(connection.execute(text(READ)).one()) == AS_EVER
        assert connection.scalar(text("SHOW idle_session_timeout")) == "0"
    raw = connect(connection_parameters(database_url))
    assert execute(raw, READ) == [AS_EVER]
    raw.close()
    reconcile_at(engine, OPENS)
    engine.dispose()

    assert value(app, "SELECT error FROM session_plan") is None
    assert active_of(app, session) is not None
