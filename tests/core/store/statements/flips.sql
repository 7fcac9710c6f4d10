-- The statements of core.store.flips. `make sql` writes this file.


-- flips.states
SELECT
    activation_window.session_id,
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.phase,
    activation_window.planned_at
FROM activation_window
WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[])) AND activation_window.phase != 'over'
UNION ALL
SELECT
    activation_window.session_id,
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.phase,
    activation_window.planned_at
FROM activation_window
WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[]))
    AND activation_window.phase = 'over'
    AND activation_window.closes_at > :now
UNION ALL
SELECT
    active_instance.session_id,
    active_instance.session_instance_id,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon_1,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__1,
    CAST(NULL AS TEXT) AS anon__2,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__3
FROM active_instance
WHERE active_instance.session_id = any(CAST(:ids AS BIGINT[]));


-- flips.state_and_edit
SELECT
    activation_window.session_id,
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.phase,
    activation_window.planned_at
FROM activation_window
WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[])) AND activation_window.phase != 'over'
UNION ALL
SELECT
    activation_window.session_id,
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.phase,
    activation_window.planned_at
FROM activation_window
WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[]))
    AND activation_window.phase = 'over'
    AND activation_window.closes_at > :now
UNION ALL
SELECT
    active_instance.session_id,
    active_instance.session_instance_id,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon_1,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__1,
    CAST(NULL AS TEXT) AS anon__2,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__3
FROM active_instance
WHERE active_instance.session_id = any(CAST(:ids AS BIGINT[]))
UNION ALL
SELECT
    plan_request.session_id,
    CAST(NULL AS BIGINT) AS anon_1,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__4,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__5,
    CAST(NULL AS TEXT) AS anon__6,
    CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS anon__7
FROM plan_request
WHERE plan_request.session_id = any(CAST(:ids AS BIGINT[])) AND plan_request.about = 'hours';


-- flips.lock_for
-- (calls planning.instances.lock)
SELECT active_instance.session_instance_id
FROM active_instance
WHERE active_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
FOR UPDATE SKIP LOCKED;


-- flips.write
WITH flipped AS (
    UPDATE session_instance
    SET active=flip.active
    FROM unnest(
        CAST(:flip_session_instance_id AS BIGINT[]),
        CAST(:flip_session_id AS BIGINT[]),
        CAST(:flip_active AS BOOLEAN[]),
        CAST(:flip_due_at AS TIMESTAMP WITH TIME ZONE[]),
        CAST(:flip_at_edge AS BOOLEAN[]),
        CAST(:flip_opens_again AS BOOLEAN[])
    ) AS flip(session_instance_id, session_id, active, due_at, at_edge, opens_again)
    WHERE session_instance.session_instance_id = flip.session_instance_id
        AND session_instance.active != flip.active
    RETURNING
        flip.session_instance_id,
        flip.session_id,
        flip.active,
        flip.due_at,
        flip.at_edge,
        flip.opens_again,
        session_instance.is_cancelled
)
INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause, change, daemon)
SELECT
    flipped.session_instance_id,
    flipped.session_id,
    flipped.active,
    flipped.due_at,
    coalesce(:done_at, clock_timestamp()) AS coalesce_1,
    CASE
        WHEN (
            NOT flipped.at_edge
                AND coalesce(
                    (
                        SELECT activation_log_1.active
                        FROM activation_log AS activation_log_1
                        WHERE activation_log_1.session_instance_id = flipped.session_instance_id
                        ORDER BY activation_log_1.activation_log_id DESC
                        LIMIT 1
                    ),
                    false
                ) = flipped.active
        ) THEN 'repair'
        ELSE :cause
    END AS anon_1,
    CASE
        WHEN flipped.active THEN 'opened'
        WHEN flipped.is_cancelled THEN 'cancelled'
        WHEN flipped.opens_again THEN 'moved'
        ELSE 'closed'
    END AS anon_2,
    :daemon AS anon_3
FROM flipped
RETURNING activation_log.session_instance_id, activation_log.cause;

-- (the same statement again)
UPDATE activation_window
SET phase=changed.phase
FROM unnest(
    CAST(:changed_session_instance_id AS BIGINT[]),
    CAST(:changed_opens_at AS TIMESTAMP WITH TIME ZONE[]),
    CAST(:changed_phase AS TEXT[])
) AS changed(session_instance_id, opens_at, phase)
WHERE activation_window.session_instance_id = changed.session_instance_id
    AND activation_window.opens_at = changed.opens_at;
