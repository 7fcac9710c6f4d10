-- The statements of core.store.queue.requests. `make sql` writes this file.


-- queue.requests.lock_plans: without waiting
SELECT session_plan.session_id
FROM session_plan
WHERE session_plan.session_id = any(CAST(:ids AS BIGINT[]))
ORDER BY session_plan.session_id
FOR UPDATE SKIP LOCKED;


-- queue.requests.lock_plans: waiting
SELECT session_plan.session_id
FROM session_plan
WHERE session_plan.session_id = any(CAST(:ids AS BIGINT[]))
ORDER BY session_plan.session_id
FOR UPDATE;


-- queue.requests.existing
SELECT session_plan.session_id
FROM session_plan
WHERE session_plan.session_id = any(CAST(:ids AS BIGINT[]));


-- queue.requests.nothing_is_planned
SELECT NOT (EXISTS (SELECT * FROM session_plan WHERE session_plan.zone_version IS NOT NULL)) AS anon_1;


-- queue.requests.plan_states
SELECT
    session_plan.session_id,
    statement_timestamp() AS statement_timestamp_1,
    array((
        SELECT plan_request.request_id
        FROM plan_request
        WHERE plan_request.session_id = session_plan.session_id
    )) AS array_1,
    (
        SELECT min(plan_request.requested_at) AS min_1
        FROM plan_request
        WHERE plan_request.session_id = session_plan.session_id
    ) AS anon_1,
    session_plan.next_plan_at,
    session_plan.zone_version,
    CASE WHEN (session_plan.failures > 0) THEN coalesce(session_plan.error, '') END AS anon_2
FROM session_plan
WHERE session_plan.session_id = any(CAST(:ids AS BIGINT[]));


-- queue.requests.delete_read
DELETE FROM plan_request
WHERE plan_request.request_id = any(CAST(:ids AS BIGINT[]));


-- queue.requests.drop_orphaned
DELETE FROM plan_request
WHERE plan_request.request_id = any(array((
    SELECT plan_request.request_id
    FROM plan_request
    WHERE NOT (EXISTS (
        SELECT *
        FROM session_plan
        WHERE session_plan.session_id = plan_request.session_id
    ))
    ORDER BY plan_request.request_id
    LIMIT 5000
    FOR UPDATE SKIP LOCKED
)));


-- queue.requests.add
INSERT INTO plan_request (session_id, about)
VALUES (:session_id, :about);


-- queue.requests.add_and_notify
SELECT seisiun_request_about(unnest(CAST(:ids AS BIGINT[])), :about) AS seisiun_request_about_1;


-- queue.requests.new_since
SELECT
    EXISTS (SELECT FROM plan_request WHERE xact_id >= pg_snapshot_xmax(CAST(:polled AS pg_snapshot)))
    OR EXISTS (
        SELECT FROM pg_snapshot_xip(CAST(:polled AS pg_snapshot)) AS running
        JOIN plan_request ON xact_id = running
    ),
    CAST(pg_current_snapshot() AS text);


-- queue.requests.make_missing_plans
INSERT INTO session_plan (session_id)
SELECT session.session_id
FROM session
WHERE NOT (EXISTS (SELECT * FROM session_plan WHERE session_plan.session_id = session.session_id))
ON CONFLICT DO NOTHING;
