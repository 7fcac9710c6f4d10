"""The tables of an app with habits of its own: columns that triggers set, people who are deactivated, odd buffers."""

TABLES = """
CREATE TABLE session (
    session_id SERIAL PRIMARY KEY,
    name varchar(255) NOT NULL,
    path varchar(255),
    city varchar(100),
    country varchar(100),
    timezone varchar(50) DEFAULT 'UTC',
    recurrence text,
    initiation_date date,
    termination_date date,
    active_buffer_minutes_before integer DEFAULT 60,
    active_buffer_minutes_after integer DEFAULT 60,
    last_modified_date timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE session_instance (
    session_instance_id SERIAL PRIMARY KEY,
    session_id integer NOT NULL REFERENCES session (session_id),
    date date NOT NULL,
    start_time time,
    end_time time,
    is_cancelled boolean,
    comments text,
    logging_mode text NOT NULL DEFAULT 'standard',
    created_by_user_id integer,
    last_modified_date timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE person (
    person_id SERIAL PRIMARY KEY,
    first_name varchar(100) NOT NULL,
    last_name varchar(100),
    active boolean DEFAULT true,
    last_modified_date timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE session_instance_person (
    session_instance_person_id SERIAL PRIMARY KEY,
    session_instance_id integer NOT NULL REFERENCES session_instance ON DELETE CASCADE,
    person_id integer NOT NULL REFERENCES person ON DELETE CASCADE,
    attendance varchar(10) NOT NULL CHECK (attendance IN ('yes', 'maybe', 'no')),
    comment text,
    created_date timestamptz NOT NULL DEFAULT now(),
    UNIQUE (session_instance_id, person_id)
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.last_modified_date := clock_timestamp(); RETURN NEW; END
$$;
CREATE TRIGGER touch BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION touch();
"""
