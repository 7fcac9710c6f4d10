-- The statements of core.store.planning.plans. `make sql` writes this file.


-- planning.plans.lock_for
-- (calls activation_windows.stored)
-- (calls planning.instances.lock)
-- (calls planning.instances.lock_keys)
-- (calls planning.instances.lock_parents)


-- planning.plans.write
-- (calls planning.instances.delete_unreferenced)
-- (calls planning.instances.make)
-- (calls planning.instances.retime)
-- (calls planning.instances.bind)
-- (calls activation_windows.replace)
UPDATE session_plan
SET planned_through=:through, next_plan_at=noted.next_plan_at, zone_version=:zone_data, error=NULL
FROM unnest(
    CAST(:noted_session_id AS BIGINT[]),
    CAST(:noted_next_plan_at AS TIMESTAMP WITH TIME ZONE[])
) AS noted(session_id, next_plan_at)
WHERE session_plan.session_id = noted.session_id;


-- planning.plans.bound_to
SELECT planned_instance.session_instance_id
FROM planned_instance
JOIN session_instance ON session_instance.session_instance_id = planned_instance.session_instance_id
WHERE planned_instance.session_id = :session_id
    AND session_instance.session_id = :session_id
    AND planned_instance.occurrence_start = :local_start
    AND NOT planned_instance.lost;


-- planning.plans.note_unreadable
UPDATE session_plan
SET next_plan_at=NULL, zone_version=:zone_data, error=unreadable.error, failures=0, retry_at=NULL
FROM unnest(
    CAST(:unreadable_session_id AS BIGINT[]),
    CAST(:unreadable_error AS TEXT[])
) AS unreadable(session_id, error)
WHERE session_plan.session_id = unreadable.session_id;
