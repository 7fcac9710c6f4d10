-- The statements of core.store.planning.snapshots. `make sql` writes this file.


-- planning.snapshots.snapshots
SELECT
    session.session_id,
    session.recurrence,
    session.timezone,
    session.initiation_date,
    session.termination_date,
    least(greatest(coalesce(session.active_buffer_minutes_before, 60), 0), 1440) AS least_1,
    least(greatest(coalesce(session.active_buffer_minutes_after, 60), 0), 1440) AS least_2,
    CASE
        WHEN ((
            SELECT seisiun_choice.value
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'plan_only_where'
        ) IS NULL) THEN true
        ELSE coalesce(
            CAST(to_jsonb(session) ->> (
                SELECT seisiun_choice.value
                FROM seisiun_choice
                WHERE seisiun_choice.name = 'plan_only_where'
            ) AS BOOLEAN),
            false
        )
    END AS is_planned,
    CASE
        WHEN ((SELECT seisiun_choice.value FROM seisiun_choice WHERE seisiun_choice.name = 'plan_ahead_from') IS NOT NULL) THEN CAST(to_jsonb(session) ->> (
            SELECT seisiun_choice.value
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'plan_ahead_from'
        ) AS BIGINT)
    END AS hours_ahead
FROM session
WHERE session.session_id = any(CAST(:ids AS BIGINT[]));

SELECT
    session_instance.session_id,
    session_instance.session_instance_id,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    coalesce(session_instance.is_cancelled, false) AS is_cancelled,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    planned_instance.lost,
    planned_instance.moved,
    CASE
        WHEN (planned_instance.written IS NULL) THEN false
        ELSE (planned_instance.written || ((to_jsonb(session_instance) - 'active') - array((
            SELECT seisiun_choice.value
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'older_active'
        )))) = (((to_jsonb(session_instance) - 'active') - array((
            SELECT seisiun_choice.value
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'older_active'
        ))) || planned_instance.written)
            AND NOT (EXISTS (
                SELECT *
                FROM session_instance_person
                WHERE session_instance_person.session_instance_id = session_instance.session_instance_id
            ))
    END AS untouched,
    CASE
        WHEN (planned_instance.written IS NULL) THEN false
        ELSE session_instance.active
            OR (EXISTS (
                SELECT *
                FROM activation_log
                WHERE activation_log.session_instance_id = session_instance.session_instance_id
            ))
    END AS has_opened
FROM (
    SELECT session_instance.session_instance_id AS session_instance_id
    FROM session_instance
    WHERE session_instance.session_id = any(CAST(:ids AS BIGINT[])) AND session_instance.date >= :since
    UNION
    SELECT planned_instance.session_instance_id AS session_instance_id
    FROM planned_instance
    WHERE planned_instance.session_id = any(CAST(:ids AS BIGINT[]))
        AND planned_instance.occurrence_start >= :midnight
) AS wanted
JOIN session_instance ON session_instance.session_instance_id = wanted.session_instance_id
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
    AND planned_instance.session_id = session_instance.session_id
WHERE session_instance.date >= :since OR planned_instance.occurrence_start >= :midnight
ORDER BY session_instance.session_instance_id;

SELECT skipped_occurrence.session_id, skipped_occurrence.occurrence_start
FROM skipped_occurrence
WHERE skipped_occurrence.session_id = any(CAST(:ids AS BIGINT[]))
    AND skipped_occurrence.occurrence_start >= :midnight;
