-- The statements of core.store.presence.locations. `make sql` writes this file.


-- presence.locations.at
SELECT person.person_id, person.active_session_instance_id
FROM person
WHERE person.active_session_instance_id = any(CAST(:ids AS BIGINT[]));


-- presence.locations.affected_by
SELECT session_instance_person.person_id, session_instance.session_id
FROM session_instance_person, session_instance
WHERE session_instance_person.session_instance_id = session_instance.session_instance_id
    AND session_instance_person.attendance = 'yes'
    AND session_instance.session_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance.date >= :since
UNION
SELECT person.person_id, active_instance.session_id
FROM person, active_instance
WHERE person.active_session_instance_id = active_instance.session_instance_id
    AND active_instance.session_id = any(CAST(:ids AS BIGINT[]));


-- presence.locations.lock_who_said_yes
SELECT
    array_agg(locked.person_id) FILTER (WHERE locked.person_id IS NOT NULL) AS anon_1,
    array_agg(said.session_instance_id) FILTER (WHERE locked.person_id IS NULL) AS anon_2
FROM (
    SELECT
        session_instance_person.session_instance_id AS session_instance_id,
        session_instance_person.person_id AS person_id
    FROM session_instance_person
    WHERE session_instance_person.session_instance_id = any(CAST(:ids AS BIGINT[]))
        AND session_instance_person.attendance = 'yes'
    ORDER BY session_instance_person.person_id
) AS said
LEFT OUTER JOIN LATERAL (
    SELECT person.person_id AS person_id
    FROM person
    WHERE person.person_id = said.person_id
    FOR NO KEY UPDATE SKIP LOCKED
) AS locked ON true;


-- presence.locations.sessions_of
SELECT session_instance.session_id
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]));


-- presence.locations.lock
SELECT person.person_id
FROM person
WHERE person.person_id = any(CAST(:ids AS BIGINT[]))
ORDER BY person.person_id
FOR NO KEY UPDATE SKIP LOCKED;


-- presence.locations.lock_waiting
SELECT clock_timestamp() AS clock_timestamp_1
FROM (
    SELECT person.person_id AS person_id
    FROM person
    WHERE person.person_id = :person_id
    FOR NO KEY UPDATE
) AS locked;


-- presence.locations.release
UPDATE person
SET active_session_instance_id=NULL
WHERE person.active_session_instance_id = any(CAST(:ids AS BIGINT[]));


-- presence.locations.move
WITH
    held AS (
        SELECT
            active_instance.session_instance_id AS session_instance_id,
            active_instance.session_id AS session_id
        FROM active_instance
        LEFT OUTER JOIN LATERAL (
            SELECT session_instance.session_instance_id AS session_instance_id
            FROM session_instance
            WHERE session_instance.session_instance_id = active_instance.session_instance_id
                AND (EXISTS (
                    SELECT *
                    FROM seisiun_choice
                    WHERE seisiun_choice.name = 'older_pointer'
                ))
            FOR KEY SHARE SKIP LOCKED
        ) AS own_row ON true
        WHERE active_instance.session_instance_id = any(CAST(:joined AS BIGINT[]))
            AND (
                own_row.session_instance_id IS NOT NULL
                    OR NOT (EXISTS (
                        SELECT *
                        FROM seisiun_choice
                        WHERE seisiun_choice.name = 'older_pointer'
                    ))
            )
        FOR KEY SHARE OF active_instance SKIP LOCKED
    ),
    written AS (
        UPDATE person
        SET active_session_instance_id=moved.session_instance_id
        FROM unnest(
            CAST(:moved_person_id AS BIGINT[]),
            CAST(:moved_session_instance_id AS BIGINT[])
        ) AS moved(person_id, session_instance_id)
        WHERE person.person_id = moved.person_id
            AND (
                moved.session_instance_id IS NULL
                    OR moved.session_instance_id IN (SELECT held.session_instance_id FROM held)
            )
    )
SELECT held.session_instance_id
FROM held;


-- presence.locations.move_waiting
WITH
    held AS (
        SELECT
            active_instance.session_instance_id AS session_instance_id,
            active_instance.session_id AS session_id
        FROM active_instance
        LEFT OUTER JOIN LATERAL (
            SELECT session_instance.session_instance_id AS session_instance_id
            FROM session_instance
            WHERE session_instance.session_instance_id = active_instance.session_instance_id
                AND (EXISTS (
                    SELECT *
                    FROM seisiun_choice
                    WHERE seisiun_choice.name = 'older_pointer'
                ))
            FOR KEY SHARE SKIP LOCKED
        ) AS own_row ON true
        WHERE active_instance.session_instance_id = any(CAST(:joined AS BIGINT[]))
            AND (
                own_row.session_instance_id IS NOT NULL
                    OR NOT (EXISTS (
                        SELECT *
                        FROM seisiun_choice
                        WHERE seisiun_choice.name = 'older_pointer'
                    ))
            )
        FOR KEY SHARE OF active_instance
    ),
    written AS (
        UPDATE person
        SET active_session_instance_id=moved.session_instance_id
        FROM unnest(
            CAST(:moved_person_id AS BIGINT[]),
            CAST(:moved_session_instance_id AS BIGINT[])
        ) AS moved(person_id, session_instance_id)
        WHERE person.person_id = moved.person_id
            AND (
                moved.session_instance_id IS NULL
                    OR moved.session_instance_id IN (SELECT held.session_instance_id FROM held)
            )
    )
SELECT
    held.session_instance_id,
    CASE
        WHEN (
            (EXISTS (
                SELECT *
                FROM seisiun_choice
                WHERE seisiun_choice.name = 'notifications' AND seisiun_choice.value = 'off'
            ))
                OR pg_notification_queue_usage() >= 0.9
        ) THEN seisiun_request_about(CAST(held.session_id AS BIGINT), CAST('people' AS TEXT))
        ELSE pg_notify('active_changed', CAST(held.session_instance_id AS TEXT))
    END AS anon_1
FROM held;
