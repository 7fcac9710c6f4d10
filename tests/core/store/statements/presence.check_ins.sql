-- The statements of core.store.presence.check_ins. `make sql` writes this file.


-- presence.check_ins.save
INSERT INTO session_instance_person (
    session_instance_id,
    person_id,
    attendance,
    comment,
    created_date,
    last_modified_date,
    checked_in_at
)
SELECT
    session_instance.session_instance_id,
    person.person_id,
    :said AS anon_2,
    :note AS anon_3,
    coalesce(:now, clock_timestamp()) AS coalesce_1,
    coalesce(:now, clock_timestamp()) AS coalesce__1,
    CASE WHEN (:said = 'yes') THEN coalesce(:now, clock_timestamp()) END AS anon_4
FROM session_instance
JOIN person ON person.person_id = :person
WHERE session_instance.session_instance_id = :instance
ON CONFLICT (session_instance_id, person_id) DO UPDATE
SET
    attendance = excluded.attendance,
    comment = coalesce(excluded.comment, session_instance_person.comment),
    last_modified_date = coalesce(:now, clock_timestamp()),
    checked_in_at = CASE
        WHEN (excluded.attendance = 'yes') THEN coalesce(:now, clock_timestamp())
        ELSE session_instance_person.checked_in_at
    END
RETURNING
    (
        SELECT session_instance.session_id
        FROM session_instance
        WHERE session_instance.session_instance_id = :instance
    ) AS anon_1,
    coalesce(:now, clock_timestamp()) AS coalesce_1;


-- presence.check_ins.leave: by the database's clock
UPDATE session_instance_person
SET last_modified_date=clock_timestamp(), left_at=clock_timestamp()
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.person_id = :person_id
    AND session_instance_person.attendance = 'yes';


-- presence.check_ins.leave: at a `now` that is given
UPDATE session_instance_person
SET last_modified_date=:now, left_at=:now
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.person_id = :person_id
    AND session_instance_person.attendance = 'yes';


-- presence.check_ins.remove
DELETE FROM session_instance_person
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.person_id = :person_id;


-- presence.check_ins.instance_status: by the database's clock
SELECT
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_instance_id = :session_instance_id
            AND activation_window.opens_at <= clock_timestamp()
            AND activation_window.closes_at > clock_timestamp()
    ) AS anon_1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_instance_id = :session_instance_id
            AND activation_window.opens_at > clock_timestamp()
    ) AS anon__1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_instance_id = :session_instance_id
            AND activation_window.closes_at <= clock_timestamp()
    ) AS anon__2,
    session_instance.date < date(clock_timestamp()) - 2 AS anon_2
FROM session_instance
WHERE session_instance.session_instance_id = :session_instance_id;


-- presence.check_ins.instance_status: at a `now` that is given
SELECT
    coalesce(session_instance.is_cancelled, false) AS coalesce_1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_instance_id = :session_instance_id
            AND activation_window.opens_at <= :now
            AND activation_window.closes_at > :now
    ) AS anon_1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_instance_id = :session_instance_id
            AND activation_window.opens_at > :now
    ) AS anon__1,
    EXISTS (
        SELECT *
        FROM activation_window
        WHERE activation_window.session_instance_id = :session_instance_id
            AND activation_window.closes_at <= :now
    ) AS anon__2,
    session_instance.date < date(:now) - 2 AS anon_2
FROM session_instance
WHERE session_instance.session_instance_id = :session_instance_id;


-- presence.check_ins.session_of
SELECT session_instance.session_id
FROM session_instance
WHERE session_instance.session_instance_id = :instance;


-- presence.check_ins.count_yeses
SELECT session_instance_person.session_instance_id, count(*) AS yeses
FROM session_instance_person
WHERE session_instance_person.session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND session_instance_person.attendance = 'yes'
GROUP BY session_instance_person.session_instance_id;


-- presence.check_ins.parties
SELECT
    (
        SELECT session_instance.session_id
        FROM session_instance
        WHERE session_instance.session_instance_id = :instance
    ) AS anon_1,
    EXISTS (SELECT * FROM person WHERE person.person_id = :person) AS anon_2;
