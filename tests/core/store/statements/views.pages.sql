-- The statements of core.store.views.pages. `make sql` writes this file.


-- views.pages.session: to read
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
    session.active_buffer_minutes_after,
    session_plan.error
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE session.session_id = :session_id;


-- views.pages.session: to write
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
    session.active_buffer_minutes_after,
    session_plan.error
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE session.session_id = :session_id
FOR NO KEY UPDATE OF session;


-- views.pages.sessions_of
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
    session.active_buffer_minutes_after,
    session_plan.error
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE session.session_id = any(CAST(:ids AS BIGINT[]))
ORDER BY session.session_id;


-- views.pages.session_ids
SELECT session.session_id
FROM session;


-- views.pages.instance
SELECT
    session_instance.session_instance_id,
    session_instance.session_id,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    CASE WHEN (session_instance.is_cancelled IS true) THEN session_instance.cancel_reason END AS anon_1,
    session_instance.active,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    nearest.opens_at,
    nearest.closes_at,
    coalesce(planned_instance.lost, false) AS coalesce_2
FROM session_instance
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
    AND planned_instance.session_id = session_instance.session_id
LEFT OUTER JOIN LATERAL (
    SELECT activation_window.opens_at AS opens_at, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.session_instance_id = session_instance.session_instance_id
    ORDER BY
        activation_window.phase = 'over',
        CASE WHEN (activation_window.phase = 'over') THEN NULL ELSE activation_window.opens_at END,
        activation_window.closes_at DESC
    LIMIT 1
) AS nearest ON true
WHERE session_instance.session_instance_id = :session_instance_id;


-- views.pages.instances_between
SELECT
    session_instance.session_instance_id,
    session_instance.session_id,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    CASE WHEN (session_instance.is_cancelled IS true) THEN session_instance.cancel_reason END AS anon_1,
    session_instance.active,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    nearest.opens_at,
    nearest.closes_at,
    coalesce(planned_instance.lost, false) AS coalesce_2
FROM session_instance
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
    AND planned_instance.session_id = session_instance.session_id
LEFT OUTER JOIN LATERAL (
    SELECT activation_window.opens_at AS opens_at, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.session_instance_id = session_instance.session_instance_id
    ORDER BY
        activation_window.phase = 'over',
        CASE WHEN (activation_window.phase = 'over') THEN NULL ELSE activation_window.opens_at END,
        activation_window.closes_at DESC
    LIMIT 1
) AS nearest ON true
WHERE session_instance.session_id IN (:session_id, ...)
    AND session_instance.date BETWEEN :since_date
    AND :since_date
ORDER BY session_instance.date, session_instance.start_time, session_instance.session_instance_id
LIMIT 1000;


-- views.pages.on_now
SELECT active_instance.session_id, active_instance.session_instance_id
FROM active_instance
WHERE active_instance.session_id IN (:session_id, ...);


-- views.pages.skipped_since
SELECT skipped_occurrence.session_id, skipped_occurrence.occurrence_start
FROM skipped_occurrence
WHERE skipped_occurrence.session_id IN (:session_id, ...)
    AND skipped_occurrence.occurrence_start >= :since_midnight;


-- views.pages.set_cancelled: cancelled
UPDATE session_instance
SET is_cancelled=true, cancel_reason=:word
WHERE session_instance.session_instance_id = :session_instance_id;


-- views.pages.set_comment
UPDATE session_instance_person
SET comment=:word, last_modified_date=clock_timestamp()
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.person_id = :person_id
    AND session_instance_person.attendance IS NOT NULL
RETURNING session_instance_person.attendance;


-- views.pages.person
SELECT person.person_id, person.first_name, person.last_name, person.city
FROM person
WHERE person.person_id = :person_id
ORDER BY lower(person.first_name), lower(person.last_name), person.person_id
LIMIT 1;


-- views.pages.people_named
SELECT person.person_id, person.first_name, person.last_name, person.city
FROM person
WHERE (concat_ws(' ', person.first_name, person.last_name) ILIKE '%' || :word || '%' ESCAPE '/')
    OR (CASE
        WHEN (octet_length(concat_ws(' ', person.first_name, person.last_name)) > length(concat_ws(
            ' ',
            person.first_name,
            person.last_name
        ))) THEN regexp_replace(
            normalize(concat_ws(' ', person.first_name, person.last_name), NFD),
            '[\u0300-\u036f]',
            '',
            'g'
        )
        ELSE concat_ws(' ', person.first_name, person.last_name)
    END ILIKE '%' || :word || '%' ESCAPE '/')
ORDER BY lower(person.first_name), lower(person.last_name), person.person_id
LIMIT :limit;


-- views.pages.insert_person
INSERT INTO person (first_name, last_name)
VALUES (:name, :last_name)
RETURNING person.person_id;


-- views.pages.said
SELECT
    session_instance_person.attendance,
    session_instance_person.comment,
    coalesce(
        session_instance_person.left_at >= coalesce(
            session_instance_person.checked_in_at,
            session_instance_person.left_at
        ),
        false
    ) AS coalesce_1
FROM session_instance_person
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.person_id = :person_id;


-- views.pages.said_of
SELECT session_instance_person.session_instance_id, session_instance_person.attendance
FROM session_instance_person
WHERE session_instance_person.session_instance_id IN (:session_instance_id, ...)
    AND session_instance_person.person_id = :person_id;


-- views.pages.evenings_ahead
SELECT
    session_instance.session_instance_id,
    session_instance.session_id,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    CASE WHEN (session_instance.is_cancelled IS true) THEN session_instance.cancel_reason END AS anon_1,
    session_instance.active,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    nearest.opens_at,
    nearest.closes_at,
    coalesce(planned_instance.lost, false) AS coalesce_2,
    session_instance_person.attendance,
    session.name,
    session.city,
    session.country,
    session.timezone,
    coalesce(
        session_instance_person.left_at >= coalesce(
            session_instance_person.checked_in_at,
            session_instance_person.left_at
        ),
        false
    ) AS coalesce_3,
    session_instance_person.person_id
FROM session_instance
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
    AND planned_instance.session_id = session_instance.session_id
LEFT OUTER JOIN LATERAL (
    SELECT activation_window.opens_at AS opens_at, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.session_instance_id = session_instance.session_instance_id
    ORDER BY
        activation_window.phase = 'over',
        CASE WHEN (activation_window.phase = 'over') THEN NULL ELSE activation_window.opens_at END,
        activation_window.closes_at DESC
    LIMIT 1
) AS nearest ON true
JOIN session_instance_person ON session_instance_person.session_instance_id = session_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
WHERE session_instance_person.person_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance_person.attendance IS NOT NULL
    AND session_instance.date >= :since_date
ORDER BY session_instance.date, session_instance.start_time, session_instance.session_instance_id
LIMIT 1000;


-- views.pages.evenings_before: the first page
SELECT
    session_instance.session_instance_id,
    session_instance.session_id,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    CASE WHEN (session_instance.is_cancelled IS true) THEN session_instance.cancel_reason END AS anon_1,
    session_instance.active,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    nearest.opens_at,
    nearest.closes_at,
    coalesce(planned_instance.lost, false) AS coalesce_2,
    session_instance_person.attendance,
    session.name,
    session.city,
    session.country,
    session.timezone,
    coalesce(
        session_instance_person.left_at >= coalesce(
            session_instance_person.checked_in_at,
            session_instance_person.left_at
        ),
        false
    ) AS coalesce_3
FROM session_instance
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
    AND planned_instance.session_id = session_instance.session_id
LEFT OUTER JOIN LATERAL (
    SELECT activation_window.opens_at AS opens_at, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.session_instance_id = session_instance.session_instance_id
    ORDER BY
        activation_window.phase = 'over',
        CASE WHEN (activation_window.phase = 'over') THEN NULL ELSE activation_window.opens_at END,
        activation_window.closes_at DESC
    LIMIT 1
) AS nearest ON true
JOIN session_instance_person ON session_instance_person.session_instance_id = session_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
WHERE session_instance_person.person_id = :person_id
    AND session_instance_person.attendance = 'yes'
    AND session_instance.is_cancelled IS NOT true
    AND session_instance.date <= :since_date
ORDER BY session_instance.date DESC, session_instance.session_instance_id DESC
LIMIT :limit;


-- views.pages.evenings_before: a later page
SELECT
    session_instance.session_instance_id,
    session_instance.session_id,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    CASE WHEN (session_instance.is_cancelled IS true) THEN session_instance.cancel_reason END AS anon_1,
    session_instance.active,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    nearest.opens_at,
    nearest.closes_at,
    coalesce(planned_instance.lost, false) AS coalesce_2,
    session_instance_person.attendance,
    session.name,
    session.city,
    session.country,
    session.timezone,
    coalesce(
        session_instance_person.left_at >= coalesce(
            session_instance_person.checked_in_at,
            session_instance_person.left_at
        ),
        false
    ) AS coalesce_3
FROM session_instance
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
    AND planned_instance.session_id = session_instance.session_id
LEFT OUTER JOIN LATERAL (
    SELECT activation_window.opens_at AS opens_at, activation_window.closes_at AS closes_at
    FROM activation_window
    WHERE activation_window.session_instance_id = session_instance.session_instance_id
    ORDER BY
        activation_window.phase = 'over',
        CASE WHEN (activation_window.phase = 'over') THEN NULL ELSE activation_window.opens_at END,
        activation_window.closes_at DESC
    LIMIT 1
) AS nearest ON true
JOIN session_instance_person ON session_instance_person.session_instance_id = session_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
WHERE session_instance_person.person_id = :person_id
    AND session_instance_person.attendance = 'yes'
    AND session_instance.is_cancelled IS NOT true
    AND session_instance.date <= :since_date
    AND (session_instance.date, session_instance.session_instance_id) < (
        SELECT session_instance_1.date, session_instance_1.session_instance_id
        FROM session_instance AS session_instance_1
        WHERE session_instance_1.session_instance_id = :session_instance_id
    )
ORDER BY session_instance.date DESC, session_instance.session_instance_id DESC
LIMIT :limit;


-- views.pages.repairs_by_sweep
SELECT count(*) AS count_1
FROM activation_log
WHERE activation_log.cause = 'sweep'
    AND activation_log.done_at > statement_timestamp() - :age
    AND activation_log.done_at > activation_log.due_at + :later_than;
