"""A connection of another driver than psycopg2 is refused with words that help, and the app's transaction goes on."""

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from core.active_session_manager import session_saved, update_active_sessions, whereabouts
from core.errors import UnsupportedDriver

SAID = (
    r"^the engine speaks postgresql\+{}; accepted are .*postgresql\+psycopg2://.* or make no calls: triggers tell the "
)


def url_of(driver: str, url: str) -> str:
    """Skip where the driver is not installed: `make test-dist` installs them all, developing only pg8000."""
    pytest.importorskip(driver)
    return make_url(url).set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


@pytest.fixture(params=["pg8000", "psycopg"])
def engine_of_another_driver(request: pytest.FixtureRequest, database_url: str) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(url_of(request.param, database_url))
    yield engine
    engine.dispose()


def test_a_session_of_another_driver_is_refused_and_stays_usable(engine_of_another_driver: Engine) -> None:
    with Session(engine_of_another_driver) as db:
        with pytest.raises(UnsupportedDriver, match=SAID.format(engine_of_another_driver.driver)):
            session_saved(db, 1)
        assert db.scalar(sqlalchemy.text("SELECT count(*) FROM session")) == 0


def test_so_is_a_connection(engine_of_another_driver: Engine) -> None:
    with engine_of_another_driver.connect() as db:
        with pytest.raises(UnsupportedDriver, match=SAID.format(engine_of_another_driver.driver)):
            whereabouts(db, 1)
        assert db.scalar(sqlalchemy.text("SELECT count(*) FROM session")) == 0


def test_so_is_an_engine(engine_of_another_driver: Engine) -> None:
    with pytest.raises(UnsupportedDriver, match=SAID.format(engine_of_another_driver.driver)):
        update_active_sessions(engine_of_another_driver)


def test_so_is_what_the_driver_itself_connects(engine_of_another_driver: Engine) -> None:
    raw = engine_of_another_driver.raw_connection()
    theirs = raw.driver_connection
    with pytest.raises(
        UnsupportedDriver, match=rf"^the connection is a {engine_of_another_driver.driver}.*\.Connection; "
    ):
        session_saved(theirs, 1)  # type: ignore[arg-type] # what is tested
    raw.close()


def test_what_is_no_connection_at_all_is_named() -> None:
    with pytest.raises(
        UnsupportedDriver, match=r"^the connection is a builtins\.str; accepted are psycopg2's connection"
    ):
        session_saved("postgresql://", 1)  # type: ignore[arg-type] # what is tested


def test_an_async_session_is_refused(database_url: str) -> None:
    pytest.importorskip("greenlet")  # SQLAlchemy needs it for this
    engine = create_async_engine(url_of("asyncpg", database_url))

    async def save() -> None:
        try:
            async with AsyncSession(engine) as db:
                await db.run_sync(lambda sync: session_saved(sync, 1))
        finally:
            await engine.dispose()

    with pytest.raises(UnsupportedDriver, match=SAID.format("asyncpg")):
        asyncio.run(save())
