-- The statements of core.store.mirror. `make sql` writes this file.


-- mirror.differing
SELECT session_instance.session_instance_id
FROM session_instance
WHERE session_instance.active
    AND ((session_instance.session_instance_id, session_instance.session_id) NOT IN (
        SELECT active_instance.session_instance_id, active_instance.session_id
        FROM active_instance
    ))
UNION ALL
SELECT active_instance.session_instance_id
FROM active_instance
WHERE ((active_instance.session_instance_id, active_instance.session_id) NOT IN (
    SELECT session_instance.session_instance_id, session_instance.session_id
    FROM session_instance
    WHERE session_instance.active
))
UNION ALL
SELECT person.active_session_instance_id
FROM person
WHERE person.active_session_instance_id IS NOT NULL
    AND (person.active_session_instance_id NOT IN (
        SELECT active_instance.session_instance_id
        FROM active_instance
    ));


-- mirror.settle
SELECT session_instance.session_instance_id
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]));

-- (calls planning.instances.lock)
DELETE FROM active_instance
WHERE active_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND NOT (EXISTS (
        SELECT *
        FROM session_instance
        WHERE session_instance.active
            AND session_instance.session_instance_id = active_instance.session_instance_id
            AND session_instance.session_id = active_instance.session_id
    ));

INSERT INTO active_instance (session_instance_id, session_id)
SELECT session_instance.session_instance_id, session_instance.session_id
FROM session_instance
WHERE session_instance.active AND session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
ON CONFLICT DO NOTHING;

UPDATE session_instance
SET active=false
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance.active
    AND NOT (EXISTS (
        SELECT *
        FROM active_instance
        WHERE active_instance.session_instance_id = session_instance.session_instance_id
    ));

SELECT person.active_session_instance_id
FROM person
WHERE person.active_session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND NOT (EXISTS (
        SELECT *
        FROM active_instance
        WHERE active_instance.session_instance_id = person.active_session_instance_id
    ));

-- (calls presence.locations.release)
