-- The tables of the tracker. A role that is no superuser owns them.
CREATE TABLE session (
    session_id serial PRIMARY KEY,
    name varchar(255) NOT NULL,
    path varchar(255) NOT NULL UNIQUE,
    session_type varchar(20) NOT NULL DEFAULT 'regular' CHECK (session_type IN ('regular', 'festival')),
    city varchar(100),
    state varchar(100),
    country varchar(100),
    timezone varchar(50) NOT NULL DEFAULT 'UTC',
    recurrence text,
    initiation_date date,
    termination_date date,
    active_buffer_minutes_before integer DEFAULT 60,
    active_buffer_minutes_after integer DEFAULT 60,
    auto_create_instances boolean NOT NULL DEFAULT false,
    auto_create_hours_ahead integer NOT NULL DEFAULT 24,
    created_date timestamptz NOT NULL DEFAULT now(),
    last_modified_date timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE session_instance (
    session_instance_id serial PRIMARY KEY,
    session_id integer NOT NULL REFERENCES session,
    date date NOT NULL,
    start_time time,
    end_time time,
    location_override varchar(255),
    is_cancelled boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT false,
    comments text,
    logging_mode varchar(20) NOT NULL DEFAULT 'standard',
    log_complete_date timestamptz,
    created_by_user_id integer,
    last_modified_user_id integer,
    created_date timestamptz NOT NULL DEFAULT now(),
    last_modified_date timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX session_instance_session ON session_instance (session_id, date);
CREATE INDEX session_instance_is_active ON session_instance (session_id) WHERE is_active;

CREATE TABLE person (
    person_id serial PRIMARY KEY,
    first_name varchar(100) NOT NULL,
    last_name varchar(100),
    email varchar(255) UNIQUE,
    active boolean NOT NULL DEFAULT true,
    at_active_session_instance_id integer REFERENCES session_instance,
    created_date timestamptz NOT NULL DEFAULT now(),
    last_modified_date timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX person_at_active_session_instance ON person (at_active_session_instance_id);

CREATE TABLE session_instance_person (
    session_instance_person_id serial PRIMARY KEY,
    session_instance_id integer NOT NULL REFERENCES session_instance ON DELETE CASCADE,
    person_id integer NOT NULL REFERENCES person ON DELETE CASCADE,
    attendance varchar(10) NOT NULL CHECK (attendance IN ('yes', 'maybe', 'no')),
    comment text,
    created_date timestamptz NOT NULL DEFAULT now(),
    UNIQUE (session_instance_id, person_id)
);

-- Who belongs to a session: whoever said yes to one of its evenings.
CREATE TABLE session_person (
    session_id integer NOT NULL REFERENCES session ON DELETE CASCADE,
    person_id integer NOT NULL REFERENCES person ON DELETE CASCADE,
    is_regular boolean NOT NULL DEFAULT false,
    PRIMARY KEY (session_id, person_id)
);

-- An evening without tunes counts as not logged yet.
CREATE TABLE session_instance_tune (
    session_instance_id integer NOT NULL REFERENCES session_instance ON DELETE CASCADE,
    position integer NOT NULL,
    name varchar(255) NOT NULL,
    PRIMARY KEY (session_instance_id, position)
);

-- Evenings as they were before each change.
CREATE TABLE session_instance_history (
    history_id serial PRIMARY KEY,
    session_instance_id integer NOT NULL,
    operation varchar(20) NOT NULL,
    changed_by_user_id integer,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    was jsonb NOT NULL
);

CREATE FUNCTION set_last_modified_date() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_modified_date := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER last_modified BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION set_last_modified_date();
CREATE TRIGGER last_modified BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION set_last_modified_date();
CREATE TRIGGER last_modified BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION set_last_modified_date();
