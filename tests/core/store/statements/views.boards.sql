-- The statements of core.store.views.boards. `make sql` writes this file.


-- views.boards.by_country
SELECT set_config('jit', 'off', true) AS set_config_1;

SELECT
    ranked."of",
    ranked.city,
    ranked.state,
    ranked.min_1,
    ranked.count_1,
    ranked.count_2,
    ranked.anon_1,
    ranked.anon_2,
    ranked.anon_3,
    ranked.anon_4,
    ranked.place
FROM (
    SELECT
        NULL AS "of",
        NULL AS city,
        NULL AS state,
        min(btrim(its_session.country) COLLATE "C") AS min_1,
        count(*) AS count_1,
        count(DISTINCT row(
            lower(btrim(coalesce(its_session.city, ''))) COLLATE "C",
            lower(btrim(coalesce(its_session.state, ''))) COLLATE "C"
        )) AS count_2,
        (array_agg(
            active_instance.session_instance_id ORDER BY lower(its_session.name) COLLATE "C",
            active_instance.session_instance_id
        ))[1::most_of_each] AS anon_1,
        count(*) OVER (PARTITION BY NULL) AS anon_2,
        sum(count(*)) OVER (PARTITION BY NULL) AS anon_3,
        sum(count(DISTINCT row(
            lower(btrim(coalesce(its_session.city, ''))) COLLATE "C",
            lower(btrim(coalesce(its_session.state, ''))) COLLATE "C"
        ))) OVER (PARTITION BY NULL) AS anon_4,
        row_number() OVER (
            PARTITION BY NULL ORDER BY count(*) DESC,
            lower(btrim(coalesce(its_session.country, ''))) COLLATE "C"
        ) AS place
    FROM
        active_instance,
        LATERAL (
            SELECT
                session.name AS name,
                session.city AS city,
                session.state AS state,
                session.country AS country
            FROM session
            WHERE session.session_id = active_instance.session_id
            LIMIT ALL OFFSET 0
        ) AS its_session
    GROUP BY lower(btrim(coalesce(its_session.country, ''))) COLLATE "C"
) AS ranked
WHERE ranked.place <= :most
ORDER BY ranked.place;


-- views.boards.by_town
SELECT set_config('jit', 'off', true) AS set_config_1;

SELECT
    ranked."of",
    ranked.min_1,
    ranked.min_2,
    ranked.min_3,
    ranked.count_1,
    ranked.count_2,
    ranked.anon_1,
    ranked.anon_2,
    ranked.anon_3,
    ranked.anon_4,
    ranked.place
FROM (
    SELECT
        wanted.country AS "of",
        min(btrim(its_session.city) COLLATE "C") AS min_1,
        min(btrim(its_session.state) COLLATE "C") AS min_2,
        min(btrim(its_session.country) COLLATE "C") AS min_3,
        count(*) AS count_1,
        count(DISTINCT row(
            lower(btrim(coalesce(its_session.city, ''))) COLLATE "C",
            lower(btrim(coalesce(its_session.state, ''))) COLLATE "C"
        )) AS count_2,
        (array_agg(
            active_instance.session_instance_id ORDER BY lower(its_session.name) COLLATE "C",
            active_instance.session_instance_id
        ))[1::most_of_each] AS anon_1,
        count(*) OVER (PARTITION BY wanted.country) AS anon_2,
        sum(count(*)) OVER (PARTITION BY wanted.country) AS anon_3,
        sum(count(DISTINCT row(
            lower(btrim(coalesce(its_session.city, ''))) COLLATE "C",
            lower(btrim(coalesce(its_session.state, ''))) COLLATE "C"
        ))) OVER (PARTITION BY wanted.country) AS anon_4,
        row_number() OVER (
            PARTITION BY wanted.country ORDER BY count(*) DESC,
            lower(btrim(coalesce(its_session.city, ''))) COLLATE "C",
            lower(btrim(coalesce(its_session.state, ''))) COLLATE "C"
        ) AS place
    FROM
        active_instance,
        unnest(CAST(:wanted_country AS TEXT[])) AS wanted(country),
        LATERAL (
            SELECT
                session.name AS name,
                session.city AS city,
                session.state AS state,
                session.country AS country
            FROM session
            WHERE session.session_id = active_instance.session_id
            LIMIT ALL OFFSET 0
        ) AS its_session
    WHERE (lower(btrim(coalesce(its_session.country, ''))) COLLATE "C") = lower(btrim(wanted.country))
    GROUP BY
        wanted.country,
        lower(btrim(coalesce(its_session.city, ''))) COLLATE "C",
        lower(btrim(coalesce(its_session.state, ''))) COLLATE "C"
) AS ranked
WHERE ranked.place <= :most
ORDER BY ranked.place;


-- views.boards.windows_of
SELECT
    activation_window.session_instance_id,
    session.session_id,
    session.name,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    activation_window.opens_at,
    activation_window.closes_at,
    session_instance.active
FROM activation_window
JOIN session_instance ON session_instance.session_instance_id = activation_window.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
    AND session.session_id = activation_window.session_id
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = activation_window.session_instance_id
WHERE activation_window.session_instance_id = any(CAST(:ids AS BIGINT[]))
    AND activation_window.phase != 'over'
    AND activation_window.phase != 'ahead'
ORDER BY activation_window.opens_at, session.name, activation_window.session_instance_id;


-- views.boards.windows_in_towns
SELECT
    wanted.number,
    activation_window.session_instance_id,
    session.session_id,
    session.name,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    activation_window.opens_at,
    activation_window.closes_at,
    session_instance.active
FROM activation_window
JOIN session_instance ON session_instance.session_instance_id = activation_window.session_instance_id
JOIN session ON session.session_id = session_instance.session_id
    AND session.session_id = activation_window.session_id
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = activation_window.session_instance_id
JOIN unnest(
    CAST(:wanted_number AS BIGINT[]),
    CAST(:wanted_city AS TEXT[]),
    CAST(:wanted_state AS TEXT[]),
    CAST(:wanted_country AS TEXT[])
) AS wanted(number, city, state, country) ON (lower(btrim(coalesce(session.city, ''))) COLLATE "C") = lower(btrim(wanted.city))
    AND (lower(btrim(coalesce(session.country, ''))) COLLATE "C") = lower(btrim(wanted.country))
    AND (
        (lower(btrim(coalesce(session.state, ''))) COLLATE "C") = ''
            OR lower(btrim(wanted.state)) = ''
            OR (lower(btrim(coalesce(session.state, ''))) COLLATE "C") = lower(btrim(wanted.state))
    )
WHERE activation_window.opens_at < :until
    AND activation_window.closes_at > :since
    AND session_instance.date BETWEEN :first
    AND :last
ORDER BY activation_window.opens_at, session.name, activation_window.session_instance_id;


-- views.boards.openings
SELECT
    ahead.session_instance_id,
    session.session_id,
    session.name,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session_instance.date,
    session_instance.start_time,
    session_instance.end_time,
    planned_instance.occurrence_start,
    planned_instance.occurrence_end,
    ahead.opens_at,
    ahead.closes_at,
    session_instance.active
FROM (
    SELECT
        activation_window.session_instance_id AS session_instance_id,
        activation_window.opens_at AS opens_at,
        activation_window.closes_at AS closes_at,
        activation_window.session_id AS session_id,
        activation_window.starts_at AS starts_at,
        activation_window.phase AS phase,
        activation_window.planned_at AS planned_at
    FROM activation_window
    WHERE activation_window.phase = 'ahead' AND activation_window.opens_at > :now
    ORDER BY activation_window.opens_at
    LIMIT :limit
) AS ahead
JOIN session_instance ON session_instance.session_instance_id = ahead.session_instance_id
JOIN session ON session.session_id = session_instance.session_id AND session.session_id = ahead.session_id
LEFT OUTER JOIN planned_instance ON planned_instance.session_instance_id = ahead.session_instance_id
ORDER BY ahead.opens_at, session.name, ahead.session_instance_id;


-- views.boards.people_at
SELECT ranked.at, ranked.total, ranked.person_id, ranked.first_name, ranked.last_name
FROM (
    SELECT
        person.active_session_instance_id AS at,
        count(*) OVER (PARTITION BY person.active_session_instance_id) AS total,
        person.person_id AS person_id,
        person.first_name AS first_name,
        person.last_name AS last_name,
        row_number() OVER (
            PARTITION BY person.active_session_instance_id ORDER BY lower(person.first_name),
            lower(person.last_name),
            person.person_id
        ) AS place
    FROM person
    WHERE person.active_session_instance_id = any(CAST(:ids AS BIGINT[]))
) AS ranked
WHERE ranked.place <= :most
ORDER BY ranked.at, ranked.place;
