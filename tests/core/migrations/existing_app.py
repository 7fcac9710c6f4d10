"""An app's tables as they may stand before the first migration: its own types, names, columns, rows and habits."""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import Rows, execute

TABLES = """
CREATE TABLE session (
    session_id SERIAL PRIMARY KEY,
    thesession_id integer,
    name varchar(255) NOT NULL,
    path varchar(255) NOT NULL UNIQUE,
    city varchar(100),
    state varchar(100),
    country varchar(100),
    timezone varchar(50) DEFAULT 'UTC',
    recurrence varchar(255),
    initiation_date date,
    termination_date date,
    created_date timestamptz DEFAULT now()
);
CREATE TABLE session_instance (
    session_instance_id SERIAL PRIMARY KEY,
    session_id integer NOT NULL REFERENCES session (session_id),
    date date NOT NULL,
    start_time time,
    end_time time,
    is_cancelled boolean,
    comments text,
    log_complete_date timestamptz
);
CREATE TABLE person (
    person_id SERIAL PRIMARY KEY,
    first_name varchar(100) NOT NULL,
    last_name varchar(100),
    email varchar(255) UNIQUE,
    sms_number varchar(20)
);
CREATE TABLE session_instance_person (
    session_instance_person_id SERIAL PRIMARY KEY,
    session_instance_id integer NOT NULL REFERENCES session_instance ON DELETE CASCADE,
    person_id integer NOT NULL REFERENCES person ON DELETE CASCADE,
    attendance varchar(10) NOT NULL CHECK (attendance IN ('yes', 'maybe', 'no')),
    comment text,
    created_date timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT one_answer_each UNIQUE (person_id, session_instance_id)
);
CREATE TABLE session_tune (
    session_instance_id integer REFERENCES session_instance,
    name text
);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
"""
ROWS = """
INSERT INTO alembic_version VALUES ('0a1b2c3d4e5f');
INSERT INTO session (name, path, city, country, timezone, recurrence, initiation_date) VALUES
    ('B.D. Riley''s', 'austin/bdrileys', 'Austin', 'USA', 'America/Chicago', 'Thursdays from 7', '2017-04-20'),
    ('The Cobblestone', 'dublin/cobblestone', 'Dublin', 'Ireland', 'Europe/Dublin', NULL, NULL),
    ('Nowhere', 'nowhere', NULL, NULL, NULL, '', NULL);
INSERT INTO session_instance (session_id, date, start_time, end_time, is_cancelled, comments) VALUES
    (1, '2017-04-20', '19:00', '22:30', NULL, NULL),
    (1, '2017-04-27', '19:00', '22:30', false, 'the first with a harp'),
    (1, '2017-05-04', NULL, NULL, true, NULL),
    (2, '2023-12-31', '22:00', '02:00', NULL, NULL);
INSERT INTO person (first_name, email) VALUES ('Nóirín', 'n@example.org'), ('Séamus', NULL);
INSERT INTO session_instance_person (session_instance_id, person_id, attendance, comment, created_date) VALUES
    (1, 1, 'yes', NULL, '2017-04-20 12:00+00'),
    (1, 2, 'maybe', 'late', '2017-04-20 13:00+00'),
    (2, 1, 'no', NULL, '2017-04-26 13:00+00');
INSERT INTO session_tune VALUES (1, 'The Kesh');
"""
NAMES = ("session", "session_instance", "person", "session_instance_person", "session_tune", "alembic_version")


def install(app: Connection) -> None:
    execute(app, TABLES)
    execute(app, ROWS)


def rows_of(app: Connection, columns: dict[str, list[str]]) -> dict[str, Rows]:
    """Return every row of the app's, with these columns only."""
    return {
        table: execute(app, f"SELECT {', '.join(names)} FROM {table} ORDER BY 1, 2" if len(names) > 1 else
                       f"SELECT {names[0]} FROM {table}")
        for table, names in columns.items()
    }  # fmt: skip


def columns_of(app: Connection) -> dict[str, list[str]]:
    return {
        table: [
            row[0]
            for row in execute(
                app,
                "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
                table,
            )
        ]
        for table in NAMES
    }
