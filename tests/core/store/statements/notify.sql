-- The statements of core.store.notify. `make sql` writes this file.


-- notify.active_changed: a few
SELECT CASE
    WHEN (
        (EXISTS (
            SELECT *
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'notifications' AND seisiun_choice.value = 'off'
        ))
            OR pg_notification_queue_usage() >= 0.9
    ) THEN seisiun_request_about(CAST(session_instance.session_id AS BIGINT), CAST('people' AS TEXT))
    ELSE pg_notify('active_changed', CAST(session_instance.session_instance_id AS TEXT))
END AS anon_1
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]));


-- notify.active_changed: many
SELECT CASE
    WHEN (
        (EXISTS (
            SELECT *
            FROM seisiun_choice
            WHERE seisiun_choice.name = 'notifications' AND seisiun_choice.value = 'off'
        ))
            OR pg_notification_queue_usage() >= 0.9
    ) THEN seisiun_request_about(CAST(session_instance.session_id AS BIGINT), CAST('people' AS TEXT))
    ELSE pg_notify('active_changed', '')
END AS anon_1
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]));


-- notify.app_notifies
SELECT (EXISTS (
    SELECT *
    FROM seisiun_choice
    WHERE seisiun_choice.name = 'notifications' AND seisiun_choice.value = 'off'
))
    OR pg_notification_queue_usage() >= 0.9 AS anon_1;


-- notify.queue_usage
SELECT pg_notification_queue_usage() AS pg_notification_queue_usage_1;
