-- The statements of core.store.older_columns. `make sql` writes this file.


-- older_columns.differing
SELECT name, value, its_table IS NULL OR EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass(its_table) AND attname = value AND NOT attisdropped
)
FROM seisiun_choice
LEFT JOIN unnest(CAST(:choices AS text[]), CAST(:tables AS text[])) t(choice, its_table) ON choice = name
ORDER BY name;

SELECT count(*) AS count_1
FROM session_instance
WHERE coalesce(session_instance.is_active, false) != session_instance.active;

SELECT count(*) AS count_1
FROM person
WHERE person.older_pointer IS DISTINCT FROM person.active_session_instance_id;


-- older_columns.bring_into_line
SELECT name, value, its_table IS NULL OR EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass(its_table) AND attname = value AND NOT attisdropped
)
FROM seisiun_choice
LEFT JOIN unnest(CAST(:choices AS text[]), CAST(:tables AS text[])) t(choice, its_table) ON choice = name
ORDER BY name;

UPDATE session_instance
SET is_active=session_instance.active
WHERE session_instance.session_instance_id = any(array((
    SELECT session_instance.session_instance_id
    FROM session_instance
    WHERE coalesce(
        session_instance.is_active,
        false
    ) != session_instance.active
    ORDER BY session_instance.session_instance_id
    LIMIT :most
    FOR NO KEY UPDATE SKIP LOCKED
)));

SELECT person.person_id, person.active_session_instance_id
FROM person
WHERE person.older_pointer IS DISTINCT FROM person.active_session_instance_id
ORDER BY person.person_id
LIMIT :most
FOR NO KEY UPDATE SKIP LOCKED;

UPDATE person
SET older_pointer=person.active_session_instance_id
WHERE person.person_id = any(CAST(:ids AS BIGINT[]));
