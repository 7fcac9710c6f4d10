import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import FetchedValue, ForeignKey
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from core.adoption import removal, takeover
from core.db import create_engine
from core.errors import MigrationRefused
from core.migrations import migrate
from core.migrations.damage import damage
from core.migrations.live import MARK
from core.recurrence import parse
from tests.commands import ROOT
from tests.core.adoption import older_app
from tests.core.migrations.catalogue import catalogue
from tests.core.migrations.existing_app import columns_of, install, rows_of
from tests.core.passes import DURING, reconcile_at
from tests.data import add_check_in, add_session, connected, execute, requests, value


@pytest.fixture
def existing_app(every_empty_database_url: str) -> Iterator[Connection]:
    """An app that has been there for years, before its first migration by us."""
    with connected(every_empty_database_url) as connection:
        install(connection)
        yield connection


@pytest.fixture
def other_app(empty_database_url: str) -> Iterator[Connection]:
    """The same, on one version of PostgreSQL only."""
    with connected(empty_database_url) as connection:
        install(connection)
        yield connection


def url_of(app: Connection) -> str:
    parts = app.info
    return f"postgresql://{parts.user}:{parts.password}@{parts.host}:{parts.port}/{parts.dbname}"


def test_no_row_of_the_apps_changes_its_meaning(existing_app: Connection) -> None:
    columns = columns_of(existing_app)
    before = rows_of(existing_app, columns)

    migrate(url_of(existing_app))

    assert rows_of(existing_app, columns) == before
    assert {table: names[: len(columns[table])] for table, names in columns_of(existing_app).items()} == columns


def test_what_is_missing_is_added_and_what_stands_is_kept(existing_app: Connection) -> None:
    columns, before = columns_of(existing_app), catalogue(existing_app)
    migrate(url_of(existing_app))
    added = {
        table: set(names) - set(columns[table])
        for table, names in columns_of(existing_app).items()
        if names != columns[table]
    }
    after = catalogue(existing_app)

    assert added == {
        "session": {"active_buffer_minutes_before", "active_buffer_minutes_after"},
        "session_instance": {"active", "cancel_reason", "location_override"},
        "person": {"active_session_instance_id", "city", "state", "country"},
        "session_instance_person": {"checked_in_at", "last_modified_date", "left_at"},
    }
    for part, names in before.items():
        assert set(names) <= set(after[part]), part
    # The app has a unique constraint on its check-ins under a name of its own.
    assert not [index for index in after["index"] if "session_instance_person_once" in index]


def test_every_session_has_a_plan_and_a_request(other_app: Connection) -> None:
    migrate(url_of(other_app))

    assert requests(other_app) == [1, 2, 3]
    assert execute(other_app, "SELECT session_id, error FROM session_plan ORDER BY 1") == [
        (1, None), (2, None), (3, None),
    ]  # fmt: skip


def test_old_check_ins_do_not_claim_to_have_happened_now(other_app: Connection) -> None:
    migrate(url_of(other_app))

    old = "SELECT count(*) FROM session_instance_person WHERE checked_in_at IS NULL AND last_modified_date IS NULL"
    assert value(other_app, old) == 3
    new = add_check_in(other_app, 4, 1)
    found = "SELECT checked_in_at FROM session_instance_person WHERE session_instance_person_id = %s"
    assert value(other_app, found, new) is not None


def test_the_apps_own_migrations_go_on_beside_ours(other_app: Connection) -> None:
    migrate(url_of(other_app))

    assert value(other_app, "SELECT version_num FROM alembic_version") == "0a1b2c3d4e5f"
    assert value(other_app, "SELECT version_num FROM seisiun_schema_version") == "0013"


def test_adopting_again_changes_nothing(existing_app: Connection) -> None:
    migrate(url_of(existing_app))
    before, rows = catalogue(existing_app), rows_of(existing_app, columns_of(existing_app))
    migrate(url_of(existing_app))

    assert (catalogue(existing_app), rows_of(existing_app, columns_of(existing_app))) == (before, rows)


def test_an_older_form_of_the_feature_is_adopted_beside_and_stays_as_it_is(empty_database_url: str) -> None:
    with connected(empty_database_url) as app:
        older_app.install(app)
        session_id, today, person_id = older_app.add_evening_now(app)
        execute(app, "UPDATE session_instance SET is_active = true WHERE session_instance_id = %s", today)
        execute(app, "UPDATE person SET at_active_session_instance_id = %s WHERE person_id = %s", today, person_id)
        columns = columns_of(app)
        before = rows_of(app, columns)

        migrate(empty_database_url)

        assert rows_of(app, columns) == before
        assert execute(app, "SELECT 1 FROM session_instance WHERE active") == []
        assert session_id in requests(app)


def test_what_we_add_to_the_apps_tables_is_marked_as_ours_and_nothing_else_is(other_app: Connection) -> None:
    before = columns_of(other_app)
    migrate(url_of(other_app))

    marked = execute(
        other_app,
        "SELECT attrelid::regclass || '.' || attname FROM pg_description JOIN pg_attribute "
        "ON (objoid, objsubid) = (attrelid, attnum) WHERE description = %s",
        MARK,
    )
    added = {
        f"{table}.{name}" for table, names in columns_of(other_app).items() for name in names[len(before[table]) :]
    }
    assert {name for (name,) in marked} == added


def test_app_that_checks_in_twice_at_once_is_held_to_once_from_now_on(other_app: Connection) -> None:
    execute(other_app, "ALTER TABLE session_instance_person DROP CONSTRAINT one_answer_each")
    migrate(url_of(other_app))

    unique = "CREATE UNIQUE INDEX session_instance_person_once ON public.session_instance_person"
    assert [index for index in catalogue(other_app)["index"] if index.startswith(unique)]


def test_migrated_free_text_is_listed_and_the_apps_old_rows_are_left_alone(other_app: Connection) -> None:
    before = rows_of(other_app, columns_of(other_app))
    columns = columns_of(other_app)
    migrate(url_of(other_app))
    engine = create_engine(url_of(other_app))
    result = reconcile_at(engine, DURING)
    engine.dispose()

    assert result.unreadable.keys() == {1, 3}
    assert rows_of(other_app, columns) == before


# Refused


REFUSED = {
    "active": (
        "ALTER TABLE session_instance ADD COLUMN active boolean",
        r"session_instance\.active exists.*another name.*ALTER TABLE session_instance DROP COLUMN active, and migrate",
    ),
    "active_session_instance_id": (
        "ALTER TABLE person ADD COLUMN active_session_instance_id integer REFERENCES session_instance",
        r"person\.active_session_instance_id exists.*ALTER TABLE person DROP COLUMN active_session_instance_id, and",
    ),
    "buffers as text": (
        "ALTER TABLE session ADD COLUMN active_buffer_minutes_before text",
        r"session\.active_buffer_minutes_before is text; accepted: bigint or integer or smallint",
    ),
    "no end_time": (
        "ALTER TABLE session_instance DROP COLUMN end_time",
        "session_instance has no column end_time",
    ),
    "no attendance": (
        "ALTER TABLE session_instance_person DROP COLUMN attendance",
        "session_instance_person has no column attendance",
    ),
    "times as text": (
        "ALTER TABLE session_instance ALTER COLUMN start_time TYPE text",
        r"session_instance\.start_time is text; accepted: time without time zone",
    ),
    "recurrence as json": (
        "ALTER TABLE session DROP COLUMN recurrence, ADD COLUMN recurrence jsonb",
        r"session\.recurrence is jsonb; accepted: character varying or text",
    ),
    "left_at without a time zone": (
        "ALTER TABLE session_instance_person ADD COLUMN left_at timestamp",
        r"session_instance_person\.left_at is timestamp without time zone; accepted: timestamp with time zone",
    ),
    "another cancel_reason": (
        "ALTER TABLE session_instance ADD COLUMN cancel_reason integer",
        r"session_instance\.cancel_reason is integer; accepted: character varying or text",
    ),
    "a generated is_cancelled": (
        (
            "ALTER TABLE session_instance DROP COLUMN is_cancelled, ADD COLUMN called_off timestamptz, "
            "ADD COLUMN is_cancelled boolean GENERATED ALWAYS AS (called_off IS NOT NULL) STORED"
        ),
        r"session_instance\.is_cancelled is a generated column, and we write to it; accepted: an ordinary one",
    ),
    "a generated checked_in_at": (
        (
            "ALTER TABLE session_instance_person "
            "ADD COLUMN checked_in_at timestamptz GENERATED ALWAYS AS (created_date) STORED"
        ),
        r"session_instance_person\.checked_in_at is a generated column.* or set checked_in_at in a BEFORE INSERT OR",
    ),
    "a generated left_at": (
        "ALTER TABLE session_instance_person ADD COLUMN left_at timestamptz GENERATED ALWAYS AS (created_date) STORED",
        r"session_instance_person\.left_at is a generated column",
    ),
    "uuid keys": (
        (
            "ALTER TABLE person ADD COLUMN ident uuid, DROP COLUMN person_id CASCADE; "
            "ALTER TABLE person RENAME COLUMN ident TO person_id"
        ),
        r"person\.person_id is uuid; accepted: bigint or integer; person\.person_id is not a primary key",
    ),
    "no primary key": (
        "ALTER TABLE session_instance DROP CONSTRAINT session_instance_pkey CASCADE",
        r"session_instance\.session_instance_id is not a primary key",
    ),
    "partitioned": (
        (
            "DROP TABLE session_tune, session_instance_person, session_instance; "
            "CREATE TABLE session_instance (session_instance_id integer PRIMARY KEY, session_id integer, date date, "
            "start_time time, end_time time) PARTITION BY HASH (session_instance_id)"
        ),
        "session_instance is a partitioned table; accepted: an ordinary table",
    ),
    "a view": (
        "ALTER TABLE session RENAME TO sessions; CREATE VIEW session AS SELECT * FROM sessions",
        "session is a view; accepted: an ordinary table",
    ),
    "doubled check-ins": (
        (
            "ALTER TABLE session_instance_person DROP CONSTRAINT one_answer_each; INSERT INTO session_instance_person "
            "(session_instance_id, person_id, attendance) VALUES (1, 1, 'no'), (1, 2, 'no'), (1, 2, 'yes')"
        ),
        "session_instance_person has several rows for 2 pairs of instance and person",
    ),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_what_cannot_be_adopted_is_refused_and_nothing_is_changed(other_app: Connection, problem: str) -> None:
    spoil, message = REFUSED[problem]
    execute(other_app, spoil)
    before = catalogue(other_app)

    with pytest.raises(MigrationRefused, match=f"^nothing was changed, because {message}"):
        migrate(url_of(other_app))

    after = catalogue(other_app)
    assert [name for name in after["column"] if not name.startswith("seisiun_schema_version.")] == before["column"]
    assert after["trigger"] == before["trigger"]
    assert after["function"] == before["function"]
    assert {part: len(after[part]) - len(before[part]) for part in ("constraint", "index")} in (
        {"constraint": 0, "index": 0},
        {"constraint": 1, "index": 1},  # of the version table
    )


def test_tables_in_another_schema_than_ours_would_be_are_refused_and_nothing_is_changed(other_app: Connection) -> None:
    execute(other_app, "CREATE SCHEMA other")
    before = catalogue(other_app)
    url = make_url(url_of(other_app))
    for path, message in (
        ("other,public", "session is in the schema public, and our tables would be in other: put public first"),
        ("nowhere", "search_path names no schema that exists"),
    ):
        elsewhere = url.update_query_dict({"options": f"-csearch_path={path}"}).render_as_string(hide_password=False)
        with pytest.raises(MigrationRefused, match=f"^nothing was changed, because {message}"):
            migrate(elsewhere)
        assert catalogue(other_app) == before
        assert value(other_app, "SELECT count(*) FROM pg_class WHERE relnamespace = 'other'::regnamespace") == 0


def test_a_schema_that_is_there_is_changed_only_where_it_comes_first_in_the_path(other_app: Connection) -> None:
    url = make_url(url_of(other_app))
    migrate(url_of(other_app))
    execute(other_app, "CREATE SCHEMA other")
    before = catalogue(other_app)
    elsewhere = url.update_query_dict({"options": "-csearch_path=other,public"}).render_as_string(hide_password=False)

    for change in (migrate, takeover.end, partial(removal.remove, alive_within=timedelta(seconds=10))):
        with pytest.raises(
            MigrationRefused, match="our tables are in the schema public, and search_path begins with other"
        ):
            change(elsewhere)

    assert catalogue(other_app) == before
    assert value(other_app, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'other'::regnamespace") == 0


def test_tables_in_a_schema_of_their_own_are_adopted_there(other_app: Connection) -> None:
    execute(other_app, 'ALTER SCHEMA public RENAME TO "The App"; CREATE SCHEMA public')
    url = make_url(url_of(other_app)).update_query_dict({"options": '-csearch_path="The\\ App",public'})
    assert migrate(url.render_as_string(hide_password=False)) is None
    assert migrate(url.render_as_string(hide_password=False)) == "0013"

    engine = create_engine(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        assert damage(connection) == []
    engine.dispose()
    execute(other_app, 'SET search_path = "The App"')
    assert add_session(other_app, path="new") in requests(other_app)


def test_all_problems_are_named_at_once(other_app: Connection) -> None:
    execute(other_app, "ALTER TABLE session_instance ADD COLUMN active boolean, DROP COLUMN end_time")

    with pytest.raises(MigrationRefused, match=r"active exists: .*; session_instance has no column end_time"):
        migrate(url_of(other_app))


def test_the_other_spellings_of_the_page_are_adopted(empty_database_url: str) -> None:
    """The SQL of docs/adopting.md, as it stands there."""
    page = (ROOT / "docs" / "adopting.md").read_text(encoding="utf-8")
    spellings = re.findall(r"```sql\n(.*?)```", page.partition("## Other spellings")[2], re.DOTALL)
    with connected(empty_database_url) as app:
        execute(app, OTHER_SPELLINGS)
        for spelling in spellings:
            execute(app, spelling)
        migrate(empty_database_url)
        execute(app, "INSERT INTO gigs (event_id, day, state) VALUES (1, '2026-12-03', 'cancelled')")

        cancelled = "SELECT array_agg(is_cancelled ORDER BY session_instance_id) FROM session_instance"
        assert value(app, cancelled) == [False, True, True]
        assert value(app, "SELECT timezone FROM session") == "Europe/Dublin"
        days = parse(value(app, "SELECT recurrence FROM session")).between(
            date(2026, 12, 1), date(2026, 12, 31), initiation_date=date(2026, 12, 3)
        )
        assert [(day.start, day.end) for day in days] == [
            (datetime(2026, 12, n, 19, 30), datetime(2026, 12, n, 22, 0)) for n in (3, 17, 31)
        ]


OTHER_SPELLINGS = """
CREATE TABLE session (
    session_id integer PRIMARY KEY, name text, tz text, weekday text, doors time, closes time, weeks integer
);
INSERT INTO session VALUES (1, 'Doolin', 'Europe/Dublin', 'Thursday', '19:30', '22:00', 2);
CREATE TABLE gigs (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, event_id integer REFERENCES session, day date, starts time,
    ends time, state text, live boolean
);
INSERT INTO gigs (event_id, day, state) VALUES (1, '2026-12-01', 'on'), (1, '2026-12-02', 'cancelled');
CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired: %', NEW; END $$;
CREATE TRIGGER once AFTER UPDATE ON gigs FOR EACH ROW EXECUTE FUNCTION once();
"""


class Base(DeclarativeBase):
    """The models of an app that has no migrations for its tests."""


class Town(Base):
    __tablename__ = "session"
    id: Mapped[int] = mapped_column("session_id", primary_key=True)
    name: Mapped[str]


class Player(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column("person_id", primary_key=True)
    at: Mapped[int | None] = mapped_column("active_session_instance_id", server_default=FetchedValue(), system=True)


class Gig(Base):
    __tablename__ = "session_instance"
    id: Mapped[int] = mapped_column("session_instance_id", primary_key=True)
    town_id: Mapped[int] = mapped_column("session_id", ForeignKey(Town.id))
    date: Mapped[date]
    start_time: Mapped[time | None]
    end_time: Mapped[time | None]
    is_on: Mapped[bool] = mapped_column("active", server_default=FetchedValue(), system=True)


class Answer(Base):
    __tablename__ = "session_instance_person"
    gig_id: Mapped[int] = mapped_column("session_instance_id", ForeignKey(Gig.id), primary_key=True)
    player_id: Mapped[int] = mapped_column("person_id", ForeignKey(Player.id), primary_key=True)
    attendance: Mapped[str]
    at: Mapped[datetime | None] = mapped_column("checked_in_at", server_default=FetchedValue(), system=True)


@pytest.mark.filterwarnings("ignore:Did not recognize type .xid8.")
def test_columns_of_ours_that_models_map_as_system_columns_are_left_to_us(empty_database_url: str) -> None:
    """create_all makes no column of that name, so `migrate` adopts its tables; Alembic proposes to change nothing."""
    engine = create_engine(empty_database_url)
    try:
        Base.metadata.create_all(engine)
        migrate(empty_database_url)

        with Session(engine) as session:
            gig = Gig(town_id=1, date=date(2026, 12, 1))
            session.add_all([Town(id=1, name="Doolin"), Player(id=1)])
            session.flush()
            session.add(gig)
            session.flush()
            answer = Answer(gig_id=gig.id, player_id=1, attendance="yes")
            session.add(answer)
            session.flush()
            assert (gig.is_on, answer.at is not None) == (False, True)
        with engine.connect() as connection:
            ours = {"include_object": lambda _thing, _name, _kind, reflected, other: not (reflected and other is None)}
            context = MigrationContext.configure(connection, opts=ours)
            assert compare_metadata(context, Base.metadata) == []
    finally:
        engine.dispose()


def test_a_database_of_an_earlier_release_is_refused_before_anything_is_changed(empty_database_url: str) -> None:
    with connected(empty_database_url) as db:
        migrate(empty_database_url)
        execute(db, "ALTER TABLE session_instance_person DROP COLUMN left_at CASCADE")
        execute(db, "ALTER TABLE session_instance_person ADD COLUMN left_at text")
        execute(db, "UPDATE seisiun_schema_version SET version_num = '0005'")
        before = catalogue(db)

        with pytest.raises(
            MigrationRefused, match=r"^nothing was changed, because session_instance_person\.left_at is"
        ):
            migrate(empty_database_url)

        assert catalogue(db) == before
        assert value(db, "SELECT version_num FROM seisiun_schema_version") == "0005"


def test_columns_of_these_names_that_an_app_has_already_are_taken_as_they_are(other_app: Connection) -> None:
    execute(other_app, "ALTER TABLE session_instance_person ADD COLUMN left_at timestamptz")
    execute(other_app, "ALTER TABLE session_instance ADD COLUMN cancel_reason varchar(40)")
    execute(other_app, "UPDATE session_instance_person SET left_at = '2017-04-20 23:00Z'")
    execute(other_app, "UPDATE session_instance SET cancel_reason = 'no room' WHERE is_cancelled")
    columns, kept = columns_of(other_app), ("session_instance_person.left_at", "session_instance.cancel_reason")
    before, described = rows_of(other_app, columns), catalogue(other_app)["column"]

    migrate(url_of(other_app))

    assert rows_of(other_app, columns) == before
    assert {text for text in described if text.startswith(kept)} <= set(catalogue(other_app)["column"])


def test_refused_app_is_adopted_once_the_instructions_are_followed(other_app: Connection) -> None:
    execute(other_app, "ALTER TABLE session_instance ADD COLUMN active boolean")
    with pytest.raises(MigrationRefused):
        migrate(url_of(other_app))
    execute(other_app, "ALTER TABLE session_instance ADD COLUMN is_active boolean, DROP COLUMN active")

    assert migrate(url_of(other_app)) is None
    assert add_session(other_app, path="new") in requests(other_app)


def test_roles_that_read_our_tables_may_read_those_that_a_later_revision_adds(
    empty_database_url: str,
) -> None:
    migrate(empty_database_url)
    with connected(empty_database_url) as db:
        execute(db, 'DROP ROLE IF EXISTS "reader of ours"; CREATE ROLE "reader of ours"')
        execute(db, 'GRANT SELECT ON activation_window TO "reader of ours"')
        execute(db, "UPDATE seisiun_schema_version SET version_num = '0003'")

        assert migrate(empty_database_url) == "0003"

        for table in ("deactivated_person", "seisiun_choice"):
            assert value(db, "SELECT has_table_privilege('reader of ours', %s, 'SELECT')", table)
        execute(db, 'DROP OWNED BY "reader of ours"; DROP ROLE "reader of ours"')


def test_roles_that_do_a_daemons_work_may_do_what_a_later_revision_asks_of_them(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with connected(empty_database_url) as db:
        execute(db, 'DROP ROLE IF EXISTS "worker of ours"; CREATE ROLE "worker of ours"')
        execute(db, 'GRANT INSERT ON plan_request TO "worker of ours"')
        execute(db, "UPDATE seisiun_schema_version SET version_num = '0004'")

        assert migrate(empty_database_url) == "0004"

        may = (
            "SELECT has_table_privilege(rolname, 'active_instance', 'INSERT') "
            "AND has_table_privilege(rolname, 'active_instance', 'DELETE') "
            "AND has_table_privilege(rolname, 'plan_request', 'UPDATE') "
            "AND has_function_privilege(rolname, 'seisiun_request_about(bigint, text)', 'EXECUTE') "
            "FROM pg_roles WHERE rolname = 'worker of ours'"
        )
        assert value(db, may)
        execute(db, 'DROP OWNED BY "worker of ours"; DROP ROLE "worker of ours"')
