"""An app that has an older form of the feature in use, as it stands before it is adopted."""

from datetime import date, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.choices import OLDER_ACTIVE, OLDER_POINTER
from tests.core.migrations import existing_app
from tests.data import add_check_in, add_instance, add_person, add_session, execute

OLDER_FORM = """
ALTER TABLE session
    ADD COLUMN auto_create_instances boolean NOT NULL DEFAULT false,
    ADD COLUMN auto_create_hours_ahead integer DEFAULT 24,
    ADD COLUMN active_buffer_minutes_before integer DEFAULT 60,
    ADD COLUMN active_buffer_minutes_after integer DEFAULT 60,
    ALTER COLUMN path DROP NOT NULL;
ALTER TABLE session_instance
    ADD COLUMN is_active boolean DEFAULT false,
    ADD COLUMN last_modified_date timestamptz DEFAULT now();
CREATE INDEX session_instance_is_active ON session_instance (session_id) WHERE is_active;
ALTER TABLE person
    ADD COLUMN at_active_session_instance_id integer REFERENCES session_instance,
    ADD COLUMN active boolean NOT NULL DEFAULT true,
    ADD COLUMN created_date timestamptz DEFAULT now();
CREATE VIEW on_now AS SELECT session_id FROM session_instance WHERE is_active;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.last_modified_date := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER noted AFTER UPDATE OF is_active ON session_instance FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER unconcerned AFTER UPDATE OF comments ON session_instance FOR EACH ROW EXECUTE FUNCTION note();
"""
CHOSEN = {OLDER_ACTIVE: "is_active", OLDER_POINTER: "at_active_session_instance_id"}
ALL_DAY = {"start": "00:00", "end": "23:59"}


def install(app: Connection) -> None:
    """The tables with the older form, and no rows but those of an app that has been there for years."""
    existing_app.install(app)
    execute(app, OLDER_FORM)


def add_evening_now(app: Connection, **columns: object) -> tuple[int, int, int]:
    """Add a session with an evening that is on now by everybody's count; return it, the evening, and who said yes."""
    session_id = add_session(app, None, timezone="UTC", **columns)
    today = add_instance(app, session_id, str(execute(app, "SELECT current_date")[0][0]), "00:00", "23:59")
    person_id = add_person(app)
    add_check_in(app, today, person_id)
    return session_id, today, person_id


def evenings(last: date, number: int, *, every: int = 7) -> list[date]:
    """Return so many dates, the last one first."""
    return [last - timedelta(days=every * n) for n in range(number)]
