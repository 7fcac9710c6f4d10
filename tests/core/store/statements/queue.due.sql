-- The statements of core.store.queue.due. `make sql` writes this file.


-- queue.due.due_sessions: for the reason EDGE
SELECT 0 AS anon_1, 0 AS anon_2, anon_3.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at <= (statement_timestamp() + :look_ahead) - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.opens_at
    LIMIT :most
) AS anon_3
UNION ALL
SELECT 0 AS anon_4, 1 AS anon_5, anon_6.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at <= (statement_timestamp() + :look_ahead) - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.opens_at DESC
    LIMIT :most
) AS anon_6
UNION ALL
SELECT 0 AS anon_7, 2 AS anon_8, anon_9.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at <= statement_timestamp() - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.closes_at
    LIMIT :most
) AS anon_9
UNION ALL
SELECT 0 AS anon_10, 3 AS anon_11, anon_12.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at <= statement_timestamp() - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.closes_at DESC
    LIMIT :most
) AS anon_12;


-- queue.due.due_sessions: for the reason BACK
SELECT 1 AS anon_1, 0 AS anon_2, anon_3.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.opens_at > statement_timestamp() + make_interval(secs=>61.0)
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.opens_at
    LIMIT :most
) AS anon_3
UNION ALL
SELECT 1 AS anon_4, 1 AS anon_5, anon_6.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'over'
        AND activation_window.closes_at > statement_timestamp() + make_interval(secs=>61.0)
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.closes_at
    LIMIT :most
) AS anon_6;


-- queue.due.due_sessions: for the reason REQUEST
SELECT 2 AS anon_1, 0 AS anon_2, anon_3.session_id
FROM (
    SELECT anon_4.session_id AS session_id
    FROM (
        SELECT plan_request.session_id AS session_id, plan_request.request_id AS request_id
        FROM plan_request
        WHERE (
            plan_request.requested_at <= statement_timestamp() - :grace
                OR plan_request.requested_at > statement_timestamp()
        )
            AND plan_request.session_id != all(CAST(:excluded AS BIGINT[]))
            AND NOT (EXISTS (
                SELECT *
                FROM session_plan
                WHERE session_plan.retry_at > statement_timestamp()
                    AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
                    AND session_plan.session_id = plan_request.session_id
                    AND session_plan.failed_at >= plan_request.requested_at
            ))
        ORDER BY plan_request.request_id
        LIMIT :most * 10
    ) AS anon_4
    GROUP BY anon_4.session_id
    ORDER BY min(anon_4.request_id)
    LIMIT :most
) AS anon_3
UNION ALL
SELECT 2 AS anon_5, 1 AS anon_6, anon_7.session_id
FROM (
    SELECT anon_8.session_id AS session_id
    FROM (
        SELECT plan_request.session_id AS session_id, plan_request.request_id AS request_id
        FROM plan_request
        WHERE (
            plan_request.requested_at <= statement_timestamp() - :grace
                OR plan_request.requested_at > statement_timestamp()
        )
            AND plan_request.session_id != all(CAST(:excluded AS BIGINT[]))
            AND NOT (EXISTS (
                SELECT *
                FROM session_plan
                WHERE session_plan.retry_at > statement_timestamp()
                    AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
                    AND session_plan.session_id = plan_request.session_id
                    AND session_plan.failed_at >= plan_request.requested_at
            ))
        ORDER BY plan_request.request_id DESC
        LIMIT :most * 10
    ) AS anon_8
    GROUP BY anon_8.session_id
    ORDER BY max(anon_8.request_id) DESC
    LIMIT :most
) AS anon_7
UNION ALL
SELECT 2 AS anon_9, 2 AS anon_10, anon_11.session_id
FROM (
    SELECT session_plan.session_id AS session_id
    FROM session_plan
    WHERE session_plan.session_id = any(CAST(:notified AS BIGINT[]))
        AND session_plan.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (session_plan.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY session_plan.session_id
    LIMIT :most
) AS anon_11;


-- queue.due.due_sessions: for the reason PLAN
SELECT 3 AS anon_1, 0 AS anon_2, anon_3.session_id
FROM (
    SELECT session_plan.session_id AS session_id
    FROM session_plan
    WHERE session_plan.next_plan_at <= statement_timestamp()
        AND session_plan.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (session_plan.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY session_plan.next_plan_at
    LIMIT :most
) AS anon_3
UNION ALL
SELECT 3 AS anon_4, 1 AS anon_5, anon_6.session_id
FROM (
    SELECT session_plan.session_id AS session_id
    FROM session_plan
    WHERE session_plan.zone_version < :zone_version
        AND session_plan.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (session_plan.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY session_plan.zone_version
    LIMIT :most
) AS anon_6;


-- queue.due.due_sessions: for the reason BIT
SELECT 4 AS anon_1, 0 AS anon_2, anon_3.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND NOT (EXISTS (
            SELECT 1 AS anon_4
            FROM active_instance
            WHERE active_instance.session_instance_id = activation_window.session_instance_id
            LIMIT ALL OFFSET 0
        ))
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.opens_at
    LIMIT :most
) AS anon_3
UNION ALL
SELECT 4 AS anon_5, 1 AS anon_6, anon_7.session_id
FROM (
    SELECT active_instance.session_id AS session_id
    FROM active_instance
    WHERE NOT (EXISTS (
        SELECT 1 AS anon_8
        FROM activation_window
        WHERE active_instance.session_instance_id = activation_window.session_instance_id
            AND activation_window.phase != 'over'
            AND activation_window.phase != 'ahead'
        LIMIT ALL OFFSET 0
    ))
        AND active_instance.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (active_instance.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > statement_timestamp()
                AND session_plan.retry_at <= statement_timestamp() + make_interval(secs=>61.0)
        ))
    ORDER BY active_instance.session_id
    LIMIT :most
) AS anon_7;


-- queue.due.due_sessions: for the reason EDGE, at a `now` that is given
SELECT 0 AS anon_1, 0 AS anon_2, anon_3.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at <= (:now + :look_ahead) - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > :now
                AND session_plan.retry_at <= :now + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.opens_at
    LIMIT :most
) AS anon_3
UNION ALL
SELECT 0 AS anon_4, 1 AS anon_5, anon_6.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at <= (:now + :look_ahead) - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > :now
                AND session_plan.retry_at <= :now + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.opens_at DESC
    LIMIT :most
) AS anon_6
UNION ALL
SELECT 0 AS anon_7, 2 AS anon_8, anon_9.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at <= :now - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > :now
                AND session_plan.retry_at <= :now + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.closes_at
    LIMIT :most
) AS anon_9
UNION ALL
SELECT 0 AS anon_10, 3 AS anon_11, anon_12.session_id
FROM (
    SELECT activation_window.session_id AS session_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at <= :now - :grace
        AND activation_window.session_id != all(CAST(:excluded AS BIGINT[]))
        AND (activation_window.session_id NOT IN (
            SELECT session_plan.session_id
            FROM session_plan
            WHERE session_plan.retry_at > :now
                AND session_plan.retry_at <= :now + make_interval(secs=>61.0)
        ))
    ORDER BY activation_window.closes_at DESC
    LIMIT :most
) AS anon_12;
