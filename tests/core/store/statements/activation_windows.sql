-- The statements of core.store.activation_windows. `make sql` writes this file.


-- activation_windows.stored
SELECT
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.starts_at,
    activation_window.session_id
FROM activation_window
WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[])) AND activation_window.phase != 'over'
UNION ALL
SELECT
    activation_window.session_instance_id,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.starts_at,
    activation_window.session_id
FROM activation_window
WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[]))
    AND activation_window.phase = 'over'
    AND activation_window.closes_at > :now;


-- activation_windows.replace
DELETE FROM activation_window
USING unnest(
    CAST(:gone_session_instance_id AS BIGINT[]),
    CAST(:gone_opens_at AS TIMESTAMP WITH TIME ZONE[])
) AS gone(session_instance_id, opens_at)
WHERE activation_window.session_instance_id = gone.session_instance_id
    AND activation_window.opens_at = gone.opens_at;

INSERT INTO activation_window (session_instance_id, opens_at, closes_at, starts_at, session_id, planned_at)
SELECT
    planned.session_instance_id,
    planned.opens_at,
    planned.closes_at,
    planned.starts_at,
    planned.session_id,
    planned.planned_at
FROM unnest(
    CAST(:planned_session_instance_id AS BIGINT[]),
    CAST(:planned_opens_at AS TIMESTAMP WITH TIME ZONE[]),
    CAST(:planned_closes_at AS TIMESTAMP WITH TIME ZONE[]),
    CAST(:planned_starts_at AS TIMESTAMP WITH TIME ZONE[]),
    CAST(:planned_session_id AS BIGINT[]),
    CAST(:planned_planned_at AS TIMESTAMP WITH TIME ZONE[])
) AS planned(session_instance_id, opens_at, closes_at, starts_at, session_id, planned_at)
ON CONFLICT (session_instance_id, opens_at) DO UPDATE
SET
    closes_at = excluded.closes_at,
    session_id = excluded.session_id,
    starts_at = excluded.starts_at,
    phase = 'ahead',
    planned_at = CASE
        WHEN (activation_window.phase = 'over') THEN excluded.planned_at
        ELSE least(activation_window.planned_at, excluded.planned_at)
    END;


-- activation_windows.delete_of
DELETE FROM activation_window
WHERE (activation_window.session_instance_id, activation_window.opens_at) IN (
    SELECT activation_window.session_instance_id, activation_window.opens_at
    FROM activation_window
    WHERE activation_window.session_id = any(CAST(:ids AS BIGINT[]))
    FOR UPDATE SKIP LOCKED
);
