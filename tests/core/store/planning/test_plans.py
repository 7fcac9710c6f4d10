"""Which instance is bound to an occurrence."""

from datetime import datetime

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.planning.plans import bound_to
from tests.data import add_instance, add_session, bind


def test_p2_an_instance_is_bound_if_it_and_its_binding_are_of_the_session_and_it_is_not_lost(
    engine: Engine, app: Connection
) -> None:
    session, other = add_session(app), add_session(app)
    tonight, later = "2026-12-01 19:00", "2026-12-08 19:00"
    bound, moved_here, moved_away, lost, of_later, elsewhere = (
        add_instance(app, of, "2026-12-01") for of in (session, session, other, session, session, other)
    )
    for instance, of, start, is_lost in (
        (bound, session, tonight, False),
        (moved_here, other, tonight, False),
        (moved_away, session, tonight, False),
        (lost, session, tonight, True),
        (of_later, session, later, False),
        (elsewhere, other, tonight, False),
    ):
        bind(app, instance, of, start, lost=is_lost)

    with engine.connect() as connection:
        assert bound_to(connection, session, datetime(2026, 12, 1, 19)) == bound
