-- The statements of core.store.presence.yeses. `make sql` writes this file.


-- presence.yeses.by_person
SELECT
    person.person_id,
    person.active_session_instance_id,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon_1,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__1,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__2,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__3
FROM person
WHERE person.person_id = any(CAST(:ids AS BIGINT[]))
UNION ALL
SELECT
    session_instance_person.person_id,
    session_instance_person.session_instance_id,
    session_instance_person.left_at,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon_1,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__4,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__5
FROM session_instance_person
WHERE session_instance_person.person_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance_person.left_at >= :lately
UNION ALL
SELECT
    session_instance_person.person_id,
    session_instance_person.session_instance_id,
    coalesce(
        session_instance_person.checked_in_at,
        session_instance_person.created_date,
        '1970-01-01 00:00:00+00:00'
    ) AS said_at,
    live.opens_at,
    live.closes_at,
    live.starts_at
FROM
    session_instance_person,
    LATERAL (
        SELECT
            activation_window.session_id AS session_id,
            activation_window.opens_at AS opens_at,
            activation_window.closes_at AS closes_at,
            activation_window.starts_at AS starts_at,
            activation_window.phase AS phase
        FROM activation_window
        WHERE activation_window.session_instance_id = session_instance_person.session_instance_id
            AND activation_window.phase != 'over'
        LIMIT ALL OFFSET 0
    ) AS live
WHERE session_instance_person.person_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance_person.attendance = 'yes'
    AND session_instance_person.session_instance_id >= (
        SELECT min(activation_window_1.session_instance_id) AS min_1
        FROM activation_window AS activation_window_1
        WHERE activation_window_1.phase != 'over'
    )
    AND NOT (EXISTS (
        SELECT *
        FROM deactivated_person
        WHERE deactivated_person.person_id = session_instance_person.person_id
    ))
    AND live.closes_at > :now
    AND (
        live.opens_at <= :now
            OR live.phase = 'open' AND live.opens_at <= :now + make_interval(secs=>61.0)
    );


-- presence.yeses.left_since
SELECT
    session_instance_person.person_id,
    session_instance_person.session_instance_id,
    session_instance_person.left_at
FROM session_instance_person
WHERE session_instance_person.person_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance_person.left_at >= :lately;


-- presence.yeses.move_undisputed
WITH moved AS (
    UPDATE person
    SET active_session_instance_id=undisputed.session_instance_id
    FROM (
        SELECT
            yes.person_id AS person_id,
            min(yes.session_instance_id) AS session_instance_id,
            min(yes.opens_at) AS opens_at
        FROM (
            SELECT
                session_instance_person.person_id AS person_id,
                session_instance_person.session_instance_id AS session_instance_id,
                coalesce(
                    session_instance_person.checked_in_at,
                    session_instance_person.created_date,
                    '1970-01-01 00:00:00+00:00'
                ) AS said_at,
                live.opens_at AS opens_at,
                live.closes_at AS closes_at,
                live.starts_at AS starts_at
            FROM
                session_instance_person,
                LATERAL (
                    SELECT
                        activation_window.session_id AS session_id,
                        activation_window.opens_at AS opens_at,
                        activation_window.closes_at AS closes_at,
                        activation_window.starts_at AS starts_at,
                        activation_window.phase AS phase
                    FROM activation_window
                    WHERE activation_window.session_instance_id = session_instance_person.session_instance_id
                        AND activation_window.phase != 'over'
                    LIMIT ALL OFFSET 0
                ) AS live
            WHERE session_instance_person.person_id = any(CAST(:ids AS BIGINT[]))
                AND session_instance_person.attendance = 'yes'
                AND session_instance_person.session_instance_id >= (
                    SELECT min(activation_window_1.session_instance_id) AS min_1
                    FROM activation_window AS activation_window_1
                    WHERE activation_window_1.phase != 'over'
                )
                AND NOT (EXISTS (
                    SELECT *
                    FROM deactivated_person
                    WHERE deactivated_person.person_id = session_instance_person.person_id
                ))
                AND live.closes_at > :now
                AND (
                    live.opens_at <= :now
                        OR live.phase = 'open'
                            AND live.opens_at <= :now + make_interval(secs=>61.0)
                )
        ) AS yes
        GROUP BY yes.person_id
        HAVING count(*) = 1
            AND CAST(min(yes.session_instance_id) AS BIGINT) = any(CAST(:opened AS BIGINT[]))
    ) AS undisputed
    WHERE person.person_id = undisputed.person_id
        AND person.active_session_instance_id IS NULL
        AND NOT (EXISTS (
            SELECT *
            FROM session_instance_person
            WHERE session_instance_person.person_id = undisputed.person_id
                AND session_instance_person.left_at >= undisputed.opens_at - make_interval(secs=>60.0)
        ))
    RETURNING person.person_id
)
SELECT array_agg(moved.person_id) AS array_agg_1
FROM moved;
