"""Many values in one statement: what goes in as a list comes out as rows, whatever it holds."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Date, Engine, Text, Time, literal, select
from sqlalchemy.types import TypeEngine

from core.models import INSTANT, LocalDateTime
from core.store.arrays import ValueTable, is_in

TEXTS = ["", "plain", "NULL", "null", 'a "quoted" word', "back\\slash", "{a,b}", "a, b", " a ", "line\nbreak", "é%s'"]
SUMMER = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (BigInteger(), [0, -1, 2**63 - 1, None]),
        (Boolean(), [True, False, None]),
        (Text(), [*TEXTS, None]),
        (Date(), [date(10, 1, 1), date(9990, 12, 31), None]),
        (Time(), [time.min, time(19, 0), time.max, None]),
        (LocalDateTime, [datetime(2026, 10, 25, 1, 30), datetime(10, 1, 1), None]),
        (INSTANT, [datetime(2026, 3, 1, 12, 0, 0, 1, UTC), datetime(9990, 12, 30, tzinfo=UTC), None]),
    ],
    ids=str,
)
def test_value_table_gives_back_each_value(engine: Engine, type_: TypeEngine[Any], values: list[Any]) -> None:
    table = ValueTable("given", {"number": BigInteger(), "what": type_})
    statement = select(table.c.what).order_by(table.c.number)
    with engine.connect() as connection:
        found = connection.scalars(statement, table.of(list(enumerate(values)))).all()
        nothing = connection.scalars(statement, table.of([])).all()

    assert found == values
    assert nothing == []


def test_instant_of_any_zone_is_that_instant(engine: Engine) -> None:
    table = ValueTable("given", {"at": INSTANT})
    at = datetime(2026, 7, 1, 12, tzinfo=SUMMER)
    with engine.connect() as connection:
        assert connection.scalar(select(table.c.at), table.of([(at,)])) == at


@pytest.mark.parametrize(("ids", "there"), [([], False), ([1], False), ([3, 7], True)])
def test_is_in(engine: Engine, ids: list[int], there: bool) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(is_in(literal(7, BigInteger()))), {"ids": ids}) is there
