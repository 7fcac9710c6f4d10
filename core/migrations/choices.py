"""What the choices of a database (`core.choices`) add to its schema, and how `migrate` and `adopt` make them."""

from collections.abc import Mapping

from sqlalchemy import Connection

from core.choices import (
    ACCEPTED_TYPES,
    DEACTIVATED_PEOPLE,
    NOTIFICATIONS,
    PLAN_AHEAD_FROM,
    PLAN_ONLY_WHERE,
    TABLES,
    read,
)
from core.errors import MigrationRefused
from core.migrations import older_columns
from core.migrations.live import SHORT_LOCK_TIMEOUT_MS, Trigger, columns, make_triggers, scalar, step
from core.migrations.older_columns import quoted

# What a choice adds to the schema

_PERSON_TRIGGERS = (
    (
        "person",
        "seisiun_person_inserted",
        "AFTER INSERT ON {table} FOR EACH ROW WHEN (NEW.active IS FALSE)",
        "seisiun_person_saved('active')",
    ),
    (
        "person",
        "seisiun_person_updated",
        "AFTER UPDATE ON {table} FOR EACH ROW WHEN (OLD.active IS DISTINCT FROM NEW.active)",
        "seisiun_person_saved('active')",
    ),
)
# With notifications off the triggers only insert; the daemons poll. The choice replaces the function that notifies: a
# trigger that read the choice each time would make each of the app's writes dearer.
_QUIET_FUNCTIONS = {
    "seisiun_request_about(wanted bigint, subject text) RETURNS void": """
        INSERT INTO plan_request (session_id, about) VALUES (wanted, subject);
    """,
}


def functions(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the functions that these choices add or replace: signature -> body."""
    return older_columns.functions(chosen) | (_QUIET_FUNCTIONS if chosen.get(NOTIFICATIONS) == "off" else {})


def triggers(chosen: Mapping[str, str]) -> list[Trigger]:
    """Return the triggers that these choices add."""
    of_people = _PERSON_TRIGGERS if DEACTIVATED_PEOPLE in chosen else ()
    of_planning = (
        ("session", f"seisiun_session_{name}", _changed(chosen[name]), "seisiun_session_saved")
        for name in (PLAN_ONLY_WHERE, PLAN_AHEAD_FROM)
        if name in chosen
    )
    return [*of_people, *of_planning, *older_columns.triggers(chosen)]


def _changed(column: str) -> str:
    name = quoted(column)
    return f"AFTER UPDATE ON {{table}} FOR EACH ROW WHEN (OLD.{name} IS DISTINCT FROM NEW.{name})"


# Making choices


def choose(name: str, value: str) -> None:
    """Make a choice; `migrate`'s mending then makes what it adds to the schema."""
    step(
        f"INSERT INTO seisiun_choice (name, value) VALUES ('{name}', '{value}') "  # noqa: S608 -- ours, or a plain name
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )


def take_back(name: str) -> None:
    """Take a choice back, and drop what it added; what it replaced `migrate`'s mending makes again.

    The choice goes last: if we are cut off, `status` names what is missing.
    """
    if value := scalar("SELECT value FROM seisiun_choice WHERE name = :name", name=name):
        chosen = {name: str(value)}
        for table, trigger, _, _ in reversed(triggers(chosen)):
            step(f"DROP TRIGGER IF EXISTS {trigger} ON {table}", lock_timeout_ms=SHORT_LOCK_TIMEOUT_MS)
        for index in older_columns.indexes(chosen):
            step(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
        for signature in older_columns.functions(chosen):
            step(f"DROP FUNCTION IF EXISTS {signature.partition(' RETURNS ')[0]}")
        step(f"DELETE FROM seisiun_choice WHERE name = '{name}'")  # noqa: S608 -- our own name


def settle() -> None:
    """Follow the app's column `person.active`, if it has one that is boolean, and nothing was chosen before.

    The next passes release the people that this column deactivates now.
    """
    chosen = scalar("SELECT 1 FROM seisiun_choice WHERE name = :name", name=DEACTIVATED_PEOPLE)
    if columns("person").get("active") != "boolean" or chosen:
        return
    make_triggers(_PERSON_TRIGGERS)
    for statement in _DEACTIVATE:
        step(statement)
    choose(DEACTIVATED_PEOPLE, "active")


_DEACTIVATE = (
    "INSERT INTO deactivated_person SELECT person_id FROM person WHERE active IS FALSE ON CONFLICT DO NOTHING",
    """
    SELECT seisiun_request_about(session_id::bigint, 'people'::text) FROM (
        SELECT DISTINCT a.session_id FROM deactivated_person JOIN person USING (person_id)
        JOIN active_instance a ON a.session_instance_id = person.active_session_instance_id
    ) there
    """,
)


def require_columns(chosen: Mapping[str, str | None]) -> None:
    """Raise `MigrationRefused` if a choice names a column that its table does not have, or that is of another type."""
    for name, value in chosen.items():
        if value is None or name not in ACCEPTED_TYPES:
            continue
        fit = [column for column, type_ in columns(TABLES[name]).items() if type_ in ACCEPTED_TYPES[name]]
        if value not in fit or not older_columns.is_plain(value):
            accepted = " or ".join(sorted(ACCEPTED_TYPES[name]))
            raise MigrationRefused(
                f"--{name.replace('_', '-')}={value!r}: expected a column of {TABLES[name]} of type {accepted}: "
                f"{', '.join(fit) or 'there is none'}"
            )


def request_every_session() -> None:
    """Request every session, so that it is planned again."""
    step("INSERT INTO plan_request (session_id) SELECT session_id FROM session")
    step("SELECT pg_notify('session_changed', '')")


def note_release(version: str) -> None:
    """Note which release made this schema, for the error of an older one."""
    if scalar("SELECT value FROM seisiun_choice WHERE name = 'release'") != version:
        choose("release", version)


def release(connection: Connection) -> str | None:
    """Return which release made this schema, or None if our role may not read it, or it was none that noted it."""
    return read(connection).get("release")
