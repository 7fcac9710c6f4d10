-- The statements of core.store.views.places. `make sql` writes this file.


-- views.places.places: of everywhere
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.places: is_instance
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE session_instance.session_instance_id = :session_instance_id
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.places: of_session
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE session.session_id = :session_id
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.places: in_city
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE (lower(btrim(coalesce(session.city, ''))) COLLATE "C") = lower(btrim(:city))
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.places: in_country
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE (lower(btrim(coalesce(session.country, ''))) COLLATE "C") = lower(btrim(:country))
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.places: elsewhere_in_town
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE active_instance.session_id IN (
    SELECT session_1.session_id
    FROM active_instance AS active_instance_1
    JOIN session AS session_2 ON session_2.session_id = active_instance_1.session_id
    JOIN session AS session_1 ON (lower(btrim(coalesce(session_2.city, ''))) COLLATE "C") != ''
        AND (lower(btrim(coalesce(session_2.city, ''))) COLLATE "C") = (lower(btrim(coalesce(session_1.city, ''))) COLLATE "C")
        AND (lower(btrim(coalesce(session_2.country, ''))) COLLATE "C") = (lower(btrim(coalesce(
            session_1.country,
            ''
        ))) COLLATE "C")
        AND (
            (lower(btrim(coalesce(session_2.state, ''))) COLLATE "C") = ''
                OR (lower(btrim(coalesce(session_1.state, ''))) COLLATE "C") = ''
                OR (lower(btrim(coalesce(session_2.state, ''))) COLLATE "C") = (lower(btrim(coalesce(
                    session_1.state,
                    ''
                ))) COLLATE "C")
        )
    WHERE active_instance_1.session_instance_id = :session_instance_id
)
    AND session_instance.session_instance_id != :session_instance_id
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.count_active
SELECT count(*) AS count_1
FROM active_instance;


-- views.places.place_of
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE session_instance.session_instance_id = (
    SELECT person.active_session_instance_id
    FROM person
    WHERE person.person_id = :person_id
)
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.places_of
SELECT
    session_instance.session_instance_id,
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    session_instance.location_override,
    session_instance.comments,
    activation_window.opens_at,
    activation_window.closes_at,
    (
        SELECT count(*) AS count_1
        FROM person
        WHERE person.active_session_instance_id = session_instance.session_instance_id
    ) AS people,
    person.person_id
FROM active_instance
JOIN session_instance ON session_instance.session_instance_id = active_instance.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = session_instance.session_instance_id
    AND activation_window.session_id = session_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
JOIN person ON person.active_session_instance_id = active_instance.session_instance_id
WHERE person.person_id = any(CAST(:ids AS BIGINT[]))
ORDER BY session.country, session.city, session.name, session_instance.session_instance_id;


-- views.places.attendees
SELECT
    person.person_id,
    person.first_name,
    person.last_name,
    session_instance_person.comment,
    coalesce(session_instance_person.checked_in_at, session_instance_person.created_date) AS coalesce_1,
    coalesce(person.active_session_instance_id = :session_instance_id, false) AS coalesce_2,
    CASE
        WHEN (session_instance_person.left_at >= coalesce(
            session_instance_person.checked_in_at,
            session_instance_person.created_date,
            '1970-01-01 00:00:00+00:00'
        )) THEN session_instance_person.left_at
    END AS anon_1,
    person.city,
    coalesce(
        session_instance_person.checked_in_at,
        session_instance_person.created_date,
        '1970-01-01 00:00:00+00:00'
    ) AS coalesce_3,
    activation_window.opens_at,
    activation_window.closes_at,
    activation_window.starts_at
FROM session_instance_person
JOIN person ON person.person_id = session_instance_person.person_id
LEFT OUTER JOIN active_instance ON active_instance.session_instance_id = session_instance_person.session_instance_id
LEFT OUTER JOIN activation_window ON activation_window.session_instance_id = active_instance.session_instance_id
    AND activation_window.session_id = active_instance.session_id
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
WHERE session_instance_person.session_instance_id = :session_instance_id
    AND session_instance_person.attendance = 'yes'
    AND NOT (EXISTS (
        SELECT *
        FROM deactivated_person
        WHERE deactivated_person.person_id = person.person_id
    ))
ORDER BY
    coalesce(session_instance_person.checked_in_at, session_instance_person.created_date),
    person.person_id;
