-- The statements of core.store.sessions. `make sql` writes this file.


-- sessions.find_session
SELECT min(session.session_id) AS min_1
FROM session
WHERE session.name = :name AND session.city = :city;


-- sessions.insert_session
INSERT INTO session (name, city, active_buffer_minutes_before)
VALUES (:name, :city, :minutes)
RETURNING session.session_id;


-- sessions.update_session
UPDATE session
SET name=:name, city=:city, active_buffer_minutes_before=:minutes
WHERE session.session_id = :session_id
    AND (
        session.name IS DISTINCT FROM :name
            OR session.city IS DISTINCT FROM :city
            OR session.active_buffer_minutes_before IS DISTINCT FROM :minutes
    )
RETURNING session.session_id;


-- sessions.save_all: one that is new
SELECT
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session.recurrence,
    session.initiation_date,
    session.termination_date,
    session.active_buffer_minutes_before,
    session.active_buffer_minutes_after
FROM session
WHERE session.name = any(CAST(:names AS TEXT[]))
ORDER BY session.session_id DESC;

INSERT INTO session (name, city, active_buffer_minutes_before)
VALUES (:name, :city, :active_buffer_minutes_before)
RETURNING session.session_id;


-- sessions.save_all: one that is stored
SELECT
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session.recurrence,
    session.initiation_date,
    session.termination_date,
    session.active_buffer_minutes_before,
    session.active_buffer_minutes_after
FROM session
WHERE session.name = any(CAST(:names AS TEXT[]))
ORDER BY session.session_id DESC;

UPDATE session
SET name=:name, city=:city, active_buffer_minutes_before=:active_buffer_minutes_before
WHERE session.session_id = :id;


-- sessions.insert_instance
INSERT INTO session_instance (session_id, date, start_time, end_time)
VALUES (:session_id, :start_date, :start_time, :end_time)
RETURNING session_instance.session_instance_id;


-- sessions.count_planned
SELECT count(DISTINCT activation_window.session_instance_id) AS count_1
FROM activation_window
WHERE activation_window.phase IN ('ahead', 'open');


-- sessions.count_sessions
SELECT count(*) AS count_1
FROM session;
