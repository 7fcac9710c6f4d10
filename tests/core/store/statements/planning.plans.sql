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
SET
    planned_through=:through,
    next_plan_at=noted.next_plan_at,
    zone_version=:zone_data,
    error=noted.error,
    failures=CASE
    WHEN (noted.error IS NOT NULL) THEN 0
    ELSE session_plan.failures END,
    retry_at=CASE
    WHEN (noted.error IS NOT NULL) THEN NULL
    ELSE session_plan.retry_at END
FROM unnest(
    CAST(:noted_session_id AS BIGINT[]),
    CAST(:noted_next_plan_at AS TIMESTAMP WITH TIME ZONE[]),
    CAST(:noted_error AS TEXT[])
) AS noted(session_id, next_plan_at, error)
WHERE session_plan.session_id = noted.session_id;


-- planning.plans.bound_to
SELECT planned_instance.session_instance_id
FROM planned_instance
JOIN session_instance ON session_instance.session_instance_id = planned_instance.session_instance_id
WHERE planned_instance.session_id = :session_id
    AND session_instance.session_id = :session_id
    AND planned_instance.occurrence_start = :local_start
    AND NOT planned_instance.lost;
