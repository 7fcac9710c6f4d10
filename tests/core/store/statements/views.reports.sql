-- The statements of core.store.views.reports. `make sql` writes this file.


-- views.reports.unreadable
SELECT
    session_plan.session_id,
    session.name,
    coalesce(session_plan.error, '') AS coalesce_1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_id = session_plan.session_id AND activation_window.phase != 'over'
    ) AS anon_1,
    session_plan.failures > 0 AS anon_2
FROM session_plan
JOIN session ON session.session_id = session_plan.session_id
WHERE session_plan.error IS NOT NULL
ORDER BY session_plan.session_id;


-- views.reports.buffers_out_of_bounds
SELECT count(*) AS count_1
FROM session
WHERE session.active_buffer_minutes_before IS NULL
    OR session.active_buffer_minutes_before < 0
    OR session.active_buffer_minutes_before > 1440
    OR session.active_buffer_minutes_after IS NULL
    OR session.active_buffer_minutes_after < 0
    OR session.active_buffer_minutes_after > 1440;


-- views.reports.columns_without_value
SELECT attname FROM pg_attribute
WHERE attrelid = 'session_instance'::regclass AND attnum > 0 AND NOT attisdropped
AND attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = ''
AND attname NOT IN ('session_id', 'date', 'start_time')
AND NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
    WHERE tgrelid = attrelid AND tgenabled IN ('O', 'A') AND tgtype & 7 = 7 AND position(attname IN prosrc) > 0
)
ORDER BY attnum;


-- views.reports.overdue
SELECT
    anon_1.session_id,
    min(anon_1.since) AS since,
    (SELECT session.name FROM session WHERE session.session_id = anon_1.session_id) AS anon_2
FROM (
    SELECT activation_window.session_id AS session_id, activation_window.opens_at AS since
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at < statement_timestamp() - :age
        AND activation_window.planned_at < statement_timestamp() - :age
    UNION ALL
    SELECT activation_window.session_id AS session_id, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at < statement_timestamp() - :age
        AND activation_window.planned_at < statement_timestamp() - :age
    UNION ALL
    SELECT plan_request.session_id AS session_id, plan_request.requested_at AS requested_at
    FROM plan_request
    WHERE plan_request.requested_at < statement_timestamp() - :age
) AS anon_1
GROUP BY anon_1.session_id
ORDER BY since
LIMIT :limit;


-- views.reports.holders
SELECT DISTINCT a.pid, a.application_name, a.state, clock_timestamp() - a.xact_start, left(a.query, 120)
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND l.mode <> 'AccessShareLock'
AND l.relation IN ('session'::regclass, 'session_instance'::regclass, 'active_instance'::regclass,
                   'session_plan'::regclass, 'person'::regclass)
AND a.datname = current_database() AND a.pid <> pg_backend_pid()
AND a.xact_start < clock_timestamp() - CAST(:longer_than AS interval);


-- views.reports.misses
SELECT
    activation_log.session_id,
    activation_log.session_instance_id,
    activation_log.active,
    activation_log.cause,
    activation_log.due_at,
    activation_log.done_at,
    (SELECT session.name FROM session WHERE session.session_id = activation_log.session_id) AS anon_1
FROM activation_log
WHERE activation_log.done_at > statement_timestamp() - :age
    AND activation_log.done_at > activation_log.due_at + :later_than
    AND activation_log.cause != 'repair'
ORDER BY activation_log.done_at;


-- views.reports.lateness
SELECT
    width_bucket(
        EXTRACT(epoch FROM activation_log.done_at - activation_log.due_at),
        ARRAY[60720.0,
        60660.0]
    ) AS bucket,
    count(*) AS count_1
FROM activation_log
WHERE activation_log.done_at >= :now AND activation_log.cause != 'repair'
GROUP BY bucket;


-- views.reports.last_flip
SELECT coalesce(max(activation_log.activation_log_id), 0) AS coalesce_1
FROM activation_log;


-- views.reports.flips_since
SELECT
    activation_log.activation_log_id,
    activation_log.session_id,
    activation_log.session_instance_id,
    session.name,
    session.city,
    session.country,
    session.timezone,
    activation_log.active,
    activation_log.cause,
    activation_log.due_at,
    activation_log.done_at,
    activation_log.change,
    activation_log.daemon
FROM activation_log
LEFT OUTER JOIN session ON session.session_id = activation_log.session_id
WHERE activation_log.activation_log_id > :log_id
ORDER BY activation_log.activation_log_id;


-- views.reports.history: of all sessions
SELECT
    activation_log.activation_log_id,
    activation_log.session_id,
    activation_log.session_instance_id,
    session.name,
    session.city,
    session.country,
    session.timezone,
    activation_log.active,
    activation_log.cause,
    activation_log.due_at,
    activation_log.done_at,
    activation_log.change,
    activation_log.daemon
FROM activation_log
LEFT OUTER JOIN session ON session.session_id = activation_log.session_id
WHERE activation_log.done_at >= :since
ORDER BY activation_log.done_at DESC, activation_log.activation_log_id DESC
LIMIT :limit;


-- views.reports.history: with all conditions
SELECT
    activation_log.activation_log_id,
    activation_log.session_id,
    activation_log.session_instance_id,
    session.name,
    session.city,
    session.country,
    session.timezone,
    activation_log.active,
    activation_log.cause,
    activation_log.due_at,
    activation_log.done_at,
    activation_log.change,
    activation_log.daemon
FROM activation_log
LEFT OUTER JOIN session ON session.session_id = activation_log.session_id
WHERE activation_log.done_at >= :since
    AND activation_log.session_id = :session_id
    AND activation_log.done_at > activation_log.due_at + :later_than
    AND activation_log.cause != 'repair'
    AND activation_log.cause = 'timer'
    AND activation_log.change IS DISTINCT FROM 'deleted'
    AND activation_log.change = 'cancelled'
ORDER BY activation_log.done_at DESC, activation_log.activation_log_id DESC
LIMIT :limit;


-- views.reports.prune
DELETE FROM activation_log
WHERE activation_log.done_at < statement_timestamp() - :age;

DELETE FROM activation_window
WHERE activation_window.phase = 'over' AND activation_window.closes_at < statement_timestamp() - :age;

DELETE FROM skipped_occurrence
WHERE skipped_occurrence.occurrence_start < statement_timestamp() - :age;
