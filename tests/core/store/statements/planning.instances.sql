-- The statements of core.store.planning.instances. `make sql` writes this file.


-- planning.instances.lock
SELECT session_instance.session_instance_id
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
FOR NO KEY UPDATE SKIP LOCKED;


-- planning.instances.lock_keys
SELECT session_instance.session_instance_id
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
FOR KEY SHARE SKIP LOCKED;


-- planning.instances.lock_parents
SELECT session.session_id
FROM session
WHERE session.session_id = any(CAST(:ids AS BIGINT[]))
FOR KEY SHARE SKIP LOCKED;


-- planning.instances.delete_unreferenced
SELECT session_instance.session_instance_id
FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
FOR UPDATE SKIP LOCKED;

-- (calls planning.instances.referenced)
DELETE FROM session_instance
WHERE session_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
RETURNING session_instance.session_instance_id;


-- planning.instances.referenced
SELECT n.nspname, c.relname, a.attname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute target ON target.attrelid = k.confrelid AND target.attname = 'session_instance_id'
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[array_position(k.confkey, target.attnum)]
WHERE k.contype = 'f' AND k.confrelid = 'session_instance'::regclass AND k.conparentid = 0
AND c.relname <> ALL (:own);

SELECT public.session_instance_person.session_instance_id
FROM public.session_instance_person
WHERE public.session_instance_person.session_instance_id = any(CAST(:ids AS BIGINT[]));


-- planning.instances.make
SAVEPOINT sa_savepoint_1;

INSERT INTO session_instance (session_id, date, start_time, end_time)
SELECT "new".session_id, "new".date, "new".start_time, "new".end_time
FROM unnest(
    CAST(:new_session_id AS BIGINT[]),
    CAST(:new_date AS DATE[]),
    CAST(:new_start_time AS TIME WITHOUT TIME ZONE[]),
    CAST(:new_end_time AS TIME WITHOUT TIME ZONE[])
) AS "new"(session_id, date, start_time, end_time)
RETURNING
    session_instance.session_instance_id,
    session_instance.session_id,
    session_instance.date,
    session_instance.start_time;

RELEASE SAVEPOINT sa_savepoint_1;

INSERT INTO planned_instance (
    session_instance_id,
    session_id,
    occurrence_start,
    occurrence_end,
    lost,
    moved,
    written
)
SELECT
    bound.session_instance_id,
    bound.session_id,
    bound.occurrence_start,
    bound.occurrence_end,
    bound.lost,
    bound.moved,
    (to_jsonb(session_instance) - 'active') - array((
        SELECT seisiun_choice.value
        FROM seisiun_choice
        WHERE seisiun_choice.name = 'older_active'
    )) AS anon_1
FROM unnest(
    CAST(:bound_session_instance_id AS BIGINT[]),
    CAST(:bound_session_id AS BIGINT[]),
    CAST(:bound_occurrence_start AS TIMESTAMP WITHOUT TIME ZONE[]),
    CAST(:bound_occurrence_end AS TIMESTAMP WITHOUT TIME ZONE[]),
    CAST(:bound_lost AS BOOLEAN[]),
    CAST(:bound_moved AS BOOLEAN[])
) AS bound(session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved)
JOIN session_instance ON session_instance.session_instance_id = bound.session_instance_id;

DELETE FROM skipped_occurrence
WHERE (skipped_occurrence.session_id, skipped_occurrence.occurrence_start) IN (
    SELECT made.session_id, made.start
    FROM unnest(
        CAST(:made_session_id AS BIGINT[]),
        CAST(:made_start AS TIMESTAMP WITHOUT TIME ZONE[])
    ) AS made(session_id, start)
);


-- planning.instances.retime
SELECT planned_instance.session_instance_id
FROM planned_instance
JOIN session_instance ON planned_instance.session_instance_id = session_instance.session_instance_id
WHERE planned_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND (planned_instance.written || ((to_jsonb(session_instance) - 'active') - array((
        SELECT seisiun_choice.value
        FROM seisiun_choice
        WHERE seisiun_choice.name = 'older_active'
    )))) = (((to_jsonb(session_instance) - 'active') - array((
        SELECT seisiun_choice.value
        FROM seisiun_choice
        WHERE seisiun_choice.name = 'older_active'
    ))) || planned_instance.written);

UPDATE session_instance
SET date=retimed.date, start_time=retimed.start_time, end_time=retimed.end_time
FROM unnest(
    CAST(:retimed_session_instance_id AS BIGINT[]),
    CAST(:retimed_date AS DATE[]),
    CAST(:retimed_start_time AS TIME WITHOUT TIME ZONE[]),
    CAST(:retimed_end_time AS TIME WITHOUT TIME ZONE[])
) AS retimed(session_instance_id, date, start_time, end_time)
WHERE session_instance.session_instance_id = retimed.session_instance_id;


-- planning.instances.note_written
UPDATE planned_instance
SET written=((to_jsonb(session_instance) - 'active') - array((
    SELECT seisiun_choice.value
    FROM seisiun_choice
    WHERE seisiun_choice.name = 'older_active'
)))
FROM session_instance
WHERE planned_instance.session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND planned_instance.session_instance_id = session_instance.session_instance_id;


-- planning.instances.bind
DELETE FROM planned_instance
WHERE planned_instance.session_instance_id = any(CAST(:ids AS BIGINT[]));

INSERT INTO planned_instance (session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved)
SELECT
    bound.session_instance_id,
    bound.session_id,
    bound.occurrence_start,
    bound.occurrence_end,
    bound.lost,
    bound.moved
FROM unnest(
    CAST(:bound_session_instance_id AS BIGINT[]),
    CAST(:bound_session_id AS BIGINT[]),
    CAST(:bound_occurrence_start AS TIMESTAMP WITHOUT TIME ZONE[]),
    CAST(:bound_occurrence_end AS TIMESTAMP WITHOUT TIME ZONE[]),
    CAST(:bound_lost AS BOOLEAN[]),
    CAST(:bound_moved AS BOOLEAN[])
) AS bound(session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved)
ON CONFLICT (session_instance_id) DO UPDATE
SET
    session_id = excluded.session_id,
    occurrence_start = excluded.occurrence_start,
    occurrence_end = excluded.occurrence_end,
    lost = excluded.lost,
    moved = excluded.moved;
