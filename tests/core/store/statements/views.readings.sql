-- The statements of core.store.views.readings. `make sql` writes this file.


-- views.readings.sessions_named
SELECT session.session_id, session.name, session.city, session.country
FROM session
WHERE session.path = :path
LIMIT :limit;

SELECT session.session_id, session.name, session.city, session.country
FROM session
WHERE starts_with(
    lower(regexp_replace(session.name, '[[:punct:]]', '', 'g')),
    lower(regexp_replace(:prefix, '[[:punct:]]', '', 'g'))
)
    AND '' != lower(regexp_replace(:prefix, '[[:punct:]]', '', 'g'))
ORDER BY session.name, session.session_id
LIMIT :limit;


-- views.readings.names_of
SELECT session.session_id, session.name, session.city, session.country
FROM session
WHERE session.session_id = any(CAST(:ids AS BIGINT[]));


-- views.readings.session_facts
SELECT
    session.session_id,
    session.name,
    session.timezone,
    statement_timestamp() AS statement_timestamp_1,
    (
        SELECT min(plan_request.requested_at) AS min_1
        FROM plan_request
        WHERE plan_request.session_id = session.session_id
    ) AS anon_1,
    CASE WHEN (session_plan.failures > 0) THEN coalesce(session_plan.error, '') END AS anon_2,
    session_plan.retry_at
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE session.session_id = :session_id;


-- views.readings.instance_session
SELECT session_instance.session_id, session_instance.date
FROM session_instance
WHERE session_instance.session_instance_id = :session_instance_id;


-- views.readings.logged_session
SELECT activation_log.session_id
FROM activation_log
WHERE activation_log.session_instance_id = :session_instance_id
LIMIT 1;


-- views.readings.row_facts
SELECT
    session_instance.session_instance_id,
    session_instance.active,
    planned_instance.written IS NOT NULL AS anon_1,
    coalesce(
        (planned_instance.written || ((to_jsonb(session_instance) - 'active') - array((
            SELECT seisiun_choice.value
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'older_active'
        )))) = (((to_jsonb(session_instance) - 'active') - array((
            SELECT seisiun_choice.value
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'older_active'
        ))) || planned_instance.written),
        false
    ) AS coalesce_1,
    session_instance.cancel_reason
FROM session_instance
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]));


-- views.readings.windows_of
SELECT
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.phase,
    activation_window.planned_at
FROM activation_window
WHERE activation_window.session_instance_id = any(CAST(:ids AS BIGINT[]))
ORDER BY activation_window.opens_at;


-- views.readings.deleted_while_on
SELECT activation_log.session_instance_id
FROM activation_log
WHERE activation_log.session_id = :session_id AND activation_log.change = 'deleted'
ORDER BY activation_log.done_at DESC
LIMIT :limit;


-- views.readings.logged_between
SELECT DISTINCT activation_log.session_instance_id
FROM activation_log
WHERE activation_log.session_id = :session_id AND activation_log.done_at BETWEEN :since AND :until;


-- views.readings.log_begins
SELECT least(
    (SELECT min(activation_log.done_at) AS min_1 FROM activation_log),
    (SELECT min(daemon_heartbeat.started_at) AS min_2 FROM daemon_heartbeat)
) AS least_1;


-- views.readings.flips_of
SELECT
    activation_log.session_instance_id,
    activation_log.active,
    activation_log.due_at,
    activation_log.done_at,
    activation_log.cause,
    activation_log.change,
    activation_log.daemon
FROM activation_log
WHERE activation_log.session_instance_id = any(CAST(:ids AS BIGINT[])) AND activation_log.done_at > :at
ORDER BY activation_log.done_at, activation_log.activation_log_id
LIMIT 20;

SELECT
    activation_log.session_instance_id,
    activation_log.active,
    activation_log.due_at,
    activation_log.done_at,
    activation_log.cause,
    activation_log.change,
    activation_log.daemon
FROM activation_log
WHERE activation_log.session_instance_id = any(CAST(:ids AS BIGINT[])) AND activation_log.done_at <= :at
ORDER BY activation_log.done_at DESC, activation_log.activation_log_id DESC
LIMIT 20;


-- views.readings.said_yes
SELECT
    session_instance_person.person_id,
    EXISTS (
        SELECT *
        FROM deactivated_person
        WHERE deactivated_person.person_id = session_instance_person.person_id
    ) AS anon_1
FROM session_instance_person
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.attendance = 'yes'
ORDER BY session_instance_person.person_id
LIMIT :limit;

SELECT count(*) AS count_1
FROM session_instance_person
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.attendance = 'yes';


-- views.readings.person_facts
SELECT
    statement_timestamp() AS statement_timestamp_1,
    EXISTS (SELECT * FROM deactivated_person WHERE deactivated_person.person_id = person.person_id) AS anon_1
FROM person
WHERE person.person_id = :person_id;


-- views.readings.yeses_of
SELECT
    session_instance_person.session_instance_id,
    session.session_id,
    session.name,
    session.timezone,
    coalesce(session_instance_person.checked_in_at, session_instance_person.created_date) AS coalesce_1,
    coalesce(session_instance.is_cancelled, false) AS coalesce_2,
    live.opens_at,
    live.closes_at,
    session_instance_person.attendance = :attendance AS anon_1
FROM session_instance_person
JOIN session_instance ON session_instance.session_instance_id = session_instance_person.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN LATERAL (
    SELECT activation_window.opens_at AS opens_at, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.session_instance_id = session_instance_person.session_instance_id
        AND activation_window.phase != 'over'
    ORDER BY activation_window.opens_at
    LIMIT 1
) AS live ON true
WHERE session_instance_person.person_id = :person_id
    AND session_instance_person.attendance IN ('yes', 'maybe')
ORDER BY live.opens_at IS NULL, session_instance_person.session_instance_id DESC
LIMIT :limit;
