"""Migrations: they make the schema in a fresh database, or adopt an app's existing tables, even while the app is live.

Each statement is its own short transaction with a lock timeout, and is retried: an ALTER TABLE that waits for a lock
makes even plain SELECTs wait behind it. Each step reads the catalogue first, so a run that was cut off continues where
it stopped.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread

import sqlalchemy
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from core import __version__
from core.choices import ACCEPTED_TYPES
from core.db import create_engine
from core.errors import DatabaseUnavailable, MigrationRefused, SchemaNotReady
from core.logs import logger
from core.migrations import choices
from core.migrations.damage import VERSION_TABLE, damage
from core.migrations.definition import config, scripts

__all__ = [
    "OLDEST_SERVER",
    "VERSION_TABLE",
    "in_the_way",
    "mend",
    "migrate",
    "migrating",
    "require_owner",
    "require_schema",
    "steps",
]

OLDEST_SERVER = 15
log = logger(__name__)

_LOCK_KEY = 5_005_200_505  # any number, the same in every run
_LOCK_WAIT_SECONDS = 300
_WATCH_SECONDS = 0.3  # shorter than a step's lock timeout
_TELL_AGAIN_SECONDS = 30


def migrate(
    url: str, *, notifications: bool | None = None, planning: Mapping[str, str | None] | None = None
) -> str | None:
    """Bring the database at `url` to this release's schema; return its revision before that (None: fresh).

    `notifications`: choose whether the app's own transactions notify; None leaves that as it is (at first: they do).
    `planning`: choose columns of `session` that say where rows are made (`core.choices.PLAN_ONLY_WHERE`), and how many
    hours ahead (`core.choices.PLAN_AHEAD_FROM`): the name of the choice -> the column, or None to take the choice back.

    Safe to run twice, from two places at once, and beside a live app. Raises `MigrationRefused` if the existing tables
    cannot be adopted as they are, and then changes nothing; raises `DatabaseUnavailable` if the server does not answer,
    or another migration runs for too long; raises `SchemaNotReady` if a newer release has migrated the database.
    """
    chosen = dict(planning or {}) | (
        {} if notifications is None else {"notifications": "on" if notifications else "off"}
    )
    with migrating(url) as connection:
        before = _revision(connection)
        _refuse_newer(connection, before)
        if problems := in_the_way(connection):  # before anything is written: the version table, too, would be a change
            raise MigrationRefused("nothing was changed, because " + "; ".join(problems))
        with steps(connection):
            choices.require_columns(chosen)
        command.upgrade(config(connection), "head")
        with steps(connection):
            mend(connection, tell=before == _head())
            choices.settle()
            choices.note_release(__version__)
            if chosen:
                _choose(connection, chosen)
        return before


def _choose(connection: Connection, chosen: Mapping[str, str | None]) -> None:
    for name, value in chosen.items():
        choices.take_back(name)
        if value is not None:
            choices.choose(name, value)
    mend(connection, tell=False)  # the choices say what a function must be, and which triggers there are
    if chosen.keys() & ACCEPTED_TYPES.keys():
        choices.request_every_session()


@contextmanager
def migrating(url: str) -> Iterator[Connection]:
    """Yield an autocommit connection for a change of the schema; no other process changes it meanwhile.

    Raises as `migrate` does. What looks for our tables finds them in every schema of `search_path`, and what makes,
    mends or takes them goes by its first one: so both must be the same.
    """
    engine = create_engine(url, application_name="seisiun migrate")
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _require_server(connection)
            with _only_one(connection), _telling_who_holds_it_up(engine, connection):
                _require_path(connection)
                yield connection
    except OperationalError as error:
        raise DatabaseUnavailable(f"the database cannot be changed: {' '.join(str(error.orig).split())}") from error
    finally:
        engine.dispose()


def _require_path(connection: Connection) -> None:
    found = connection.execute(_PLACE).one_or_none()
    if found and found.there != found.here:
        raise MigrationRefused(
            f"nothing was changed, because our tables are in the schema {found.there}, and search_path begins with "
            f"{found.here}: put {found.there} first in search_path"
        )


def require_owner(connection: Connection) -> None:
    """Raise `MigrationRefused` unless this role may change our tables, as their owner may."""
    found = connection.execute(_PLACE).one_or_none()
    if found and not found.is_owner:
        raise MigrationRefused(
            f"nothing was changed, because our tables belong to the role {found.owner}, and you are {found.role}: run "
            f"this as {found.owner}"
        )


_PLACE = sqlalchemy.text(
    f"""
    SELECT relnamespace::regnamespace::text AS there, quote_ident(current_schema()) AS here,
        pg_get_userbyid(relowner)::text AS owner, current_user::text AS role,
        pg_has_role(relowner, 'USAGE') AS is_owner
    FROM pg_class WHERE oid = to_regclass('{VERSION_TABLE}')
    """  # noqa: S608 -- our own name
)


def steps(connection: Connection) -> AbstractContextManager[Operations]:
    """Return the context in which the steps of `core.migrations.live` use this connection."""
    return Operations.context(MigrationContext.configure(connection))


def in_the_way(connection: Connection) -> list[str]:
    """Return, in words, all that is in the way of the revisions that are still to come; it only reads."""
    pending = reversed([*scripts().iterate_revisions("head", _revision(connection) or "base")])
    asking = [ask for script in pending if (ask := getattr(script.module, "problems", None))]
    with steps(connection):
        return [problem for ask in asking for problem in ask()]


def mend(connection: Connection, *, tell: bool) -> None:
    """Make what is missing, and undo what somebody changed by hand; log what cannot be mended, and go on.

    After an upgrade there is always something: the trigger functions get the check of their table here, because only
    all revisions together say which table that is. `tell` is false then. Otherwise request every session if an edit may
    have requested nothing meanwhile.
    """
    hidden = False
    for found in damage(connection):
        try:
            found.mend()
        except (ProgrammingError, IntegrityError) as error:  # a privilege is missing, or rows break the constraint
            log.error("not_mended", what=found.what, error=str(error.orig).strip())  # noqa: TRY400 -- it says it all
        else:
            if tell:
                log.warning("mended", what=found.what)
                hidden |= found.hides_edits
    if hidden:
        choices.request_every_session()


def require_schema(connection: Connection) -> None:
    """Raise `SchemaNotReady` unless the database is at exactly this release's revision."""
    current, wanted = _revision(connection), _head()
    if current != wanted:
        _refuse_newer(connection, current)
        found = f"is at revision {current}" if current else "has not been migrated"
        raise SchemaNotReady(f"the database {found}, this release needs {wanted}: run `python -m seisiun migrate`")


def _refuse_newer(connection: Connection, current: str | None) -> None:
    """Raise `SchemaNotReady`, which names the release that is needed, if this release does not know the revision."""
    if current is None or current in {script.revision for script in scripts().walk_revisions()}:
        return
    release = choices.release(connection)
    raise SchemaNotReady(
        f"the database is at revision {current}, which is newer than this release, {__version__} (revision {_head()}): "
        f"run release {release + ' or newer' if release else 'that has this revision'}"
    )


def _head() -> str:
    return str(scripts().get_current_head())


def _revision(connection: Connection) -> str | None:
    # Not by Alembic's own question: it makes the table's description anew each time, so SQLAlchemy compiles and keeps
    # another statement each time. A daemon asks at each new connection, and grew by 13 MB after 400 of them.
    is_there = connection.scalar(_HAS_VERSION_TABLE)
    return connection.scalar(_VERSION) if is_there else None


_HAS_VERSION_TABLE = sqlalchemy.text(f"SELECT to_regclass('{VERSION_TABLE}') IS NOT NULL")
_VERSION = sqlalchemy.text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 -- our own name


def _require_server(connection: Connection) -> None:
    major = int(connection.scalar(sqlalchemy.text("SHOW server_version_num")) or 0) // 10_000
    if major < OLDEST_SERVER:
        raise MigrationRefused(f"the server is PostgreSQL {major}; {OLDEST_SERVER} or newer is needed")


@contextmanager
def _only_one(connection: Connection) -> Iterator[None]:
    """Hold an advisory lock for the block, so that only one migration runs.

    We poll for the lock. A statement that waits for it would keep its snapshot, and the other migration's CREATE INDEX
    CONCURRENTLY would wait for that snapshot.
    """
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    key = {"key": _LOCK_KEY}
    is_alone = connection.scalar(_TRY_LOCK, key)
    if not is_alone:
        for holder in connection.execute(_OTHER_MIGRATIONS, key).mappings():
            log.warning("waits_for", **holder)
    while not is_alone:
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(f"another migration has been running for {_LOCK_WAIT_SECONDS} seconds")
        time.sleep(0.1)
        is_alone = connection.scalar(_TRY_LOCK, key)
    try:
        yield
    finally:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)


@contextmanager
def _telling_who_holds_it_up(engine: Engine, connection: Connection) -> Iterator[None]:
    """Log who holds a lock that the migration waits for, while the block runs: only a second connection can see it.

    CREATE INDEX CONCURRENTLY waits for that connection's own snapshot too, for a moment.
    """
    pid, done = connection.scalar(sqlalchemy.text("SELECT pg_backend_pid()")), Event()

    def watch() -> None:
        told: dict[int, float] = {}
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
                while not done.wait(_WATCH_SECONDS):
                    for holder in watching.execute(_HOLDERS, {"pid": pid}).mappings():
                        now = time.monotonic()
                        if now > told.get(holder["pid"], 0.0):
                            told[holder["pid"]] = now + _TELL_AGAIN_SECONDS
                            log.warning("waits_for", **holder)
        except DBAPIError as error:
            log.debug("cannot_watch", error=str(error.orig).strip())

    watcher = Thread(target=watch, name="seisiun migrate watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join(5)


_TRY_LOCK = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")

# Raw SQL, because SQLAlchemy Core has no tables for the catalogue.
_ACTIVITY = """
    SELECT pid, coalesce(application_name, '') AS application, coalesce(usename, '') AS role,
        coalesce(state, backend_type) AS state,
        to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SSZ') AS since
    FROM pg_stat_activity
"""
_HOLDERS = sqlalchemy.text(f"{_ACTIVITY} WHERE pid = ANY (pg_blocking_pids(:pid)) AND pid <> pg_backend_pid()")
_OTHER_MIGRATIONS = sqlalchemy.text(
    _ACTIVITY  # noqa: S608 -- our own text
    + """
    WHERE pid IN (
        SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) + objid::bigint = :key
    )
    """
)
