-- The statements of core.store.views.transitions. `make sql` writes this file.


-- views.transitions.transitions
WITH late AS (
    SELECT * FROM activation_log WHERE xact_id = ANY (CAST(:running AS xid8[]))
    UNION ALL
    SELECT * FROM activation_log
    WHERE xact_id >= CAST(:next_xact AS xid8) AND xact_id < pg_snapshot_xmax(pg_current_snapshot())
), unread AS (
    SELECT * FROM late WHERE activation_log_id <= :last_id
    AND xact_id IS DISTINCT FROM pg_current_xact_id_if_assigned() AND cause <> 'repair'
    UNION ALL
    (
        SELECT * FROM activation_log WHERE activation_log_id > :last_id
        AND xact_id IS DISTINCT FROM pg_current_xact_id_if_assigned() AND cause <> 'repair'
        ORDER BY activation_log_id LIMIT :limit
    )
)
SELECT CAST(pg_current_snapshot() AS text), CAST(pg_current_xact_id_if_assigned() AS text),
    activation_log_id, session_instance_id, unread.session_id,
    coalesce(change, CASE WHEN unread.active THEN 'opened' ELSE 'closed' END), due_at, done_at, cause,
    CASE WHEN is_cancelled THEN cancel_reason END
FROM (VALUES (true)) AS always(is_there) LEFT JOIN unread ON is_there
LEFT JOIN session_instance USING (session_instance_id)
ORDER BY activation_log_id;
