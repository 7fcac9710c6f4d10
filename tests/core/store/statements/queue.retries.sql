-- The statements of core.store.queue.retries. `make sql` writes this file.


-- queue.retries.record
-- (calls queue.requests.lock_plans)
UPDATE session_plan
SET
    next_plan_at=coalesce(:now, clock_timestamp()),
    error=failed.error,
    failures=least(session_plan.failures + 1, 20),
    failed_at=:failed_since,
    retry_at=(coalesce(:now, clock_timestamp()) + make_interval(
        0,
        0,
        0,
        0,
        0,
        0,
        least(
            CASE
                WHEN (
                    (EXISTS (
                        SELECT *
                        FROM session_plan AS session_plan_1
                        WHERE session_plan_1.retry_at IS NOT NULL
                            AND session_plan_1.error = failed.error
                            AND session_plan_1.session_id > failed.session_id
                    ))
                        AND NOT (EXISTS (
                            SELECT *
                            FROM session_plan AS session_plan_1
                            WHERE session_plan_1.retry_at IS NOT NULL
                                AND session_plan_1.error = failed.error
                                AND session_plan_1.session_id < failed.session_id
                        ))
                ) THEN 1.0
                ELSE 60.0
            END,
            0.5 * power(2, session_plan.failures)
        )
    ))
FROM unnest(CAST(:failed_session_id AS BIGINT[]), CAST(:failed_error AS TEXT[])) AS failed(session_id, error)
WHERE session_plan.session_id = failed.session_id;


-- queue.retries.forget
UPDATE session_plan
SET error=NULL, failures=0, failed_at=NULL, retry_at=NULL
WHERE session_plan.session_id = any(CAST(:ids AS BIGINT[])) AND session_plan.failures > 0;

UPDATE session_plan
SET retry_at=NULL
WHERE session_plan.session_id IN (
    SELECT session_plan.session_id
    FROM session_plan
    WHERE session_plan.retry_at IS NOT NULL AND session_plan.error = any(CAST(:errors AS TEXT[]))
    FOR UPDATE SKIP LOCKED
);


-- queue.retries.time_to_next
SELECT min(session_plan.retry_at) - clock_timestamp() AS anon_1
FROM session_plan;
