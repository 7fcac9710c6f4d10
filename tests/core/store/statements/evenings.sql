-- The statements of core.store.evenings. `make sql` writes this file.


-- evenings.insert_instance
INSERT INTO session_instance (session_id, date, comments)
VALUES (:session_id, :since_date, :word)
RETURNING session_instance.session_instance_id;


-- evenings.update_instance
UPDATE session_instance
SET date=:since_date, comments=:word
WHERE session_instance.session_instance_id = :session_instance_id;


-- evenings.release
DELETE FROM planned_instance
WHERE planned_instance.session_instance_id = :session_instance_id;


-- evenings.who_said_yes
SELECT
    session_instance_person.session_instance_id,
    person.first_name,
    person.last_name,
    person.city,
    session_instance_person.comment
FROM session_instance_person
JOIN person ON person.person_id = session_instance_person.person_id
WHERE session_instance_person.session_instance_id IN (:session_instance_id, ...)
    AND session_instance_person.attendance = 'yes'
ORDER BY
    session_instance_person.session_instance_id,
    lower(person.first_name),
    lower(person.last_name),
    session_instance_person.person_id;
