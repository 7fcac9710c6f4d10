-- The statements of core.store.views.schedule. `make sql` writes this file.


-- views.schedule.edges_between
WITH RECURSIVE edge (at) AS (
    (SELECT opens_at FROM activation_window
     WHERE phase = 'ahead' AND opens_at > :since AND opens_at <= :until ORDER BY opens_at LIMIT 1)
    UNION ALL
    SELECT (SELECT opens_at FROM activation_window
            WHERE phase = 'ahead' AND opens_at > edge.at AND opens_at <= :until ORDER BY opens_at LIMIT 1)
    FROM edge WHERE edge.at IS NOT NULL
)
SELECT at FROM edge WHERE at IS NOT NULL;

WITH RECURSIVE edge (at) AS (
    (SELECT closes_at FROM activation_window
     WHERE phase = 'ahead' AND closes_at > :since AND closes_at <= :until ORDER BY closes_at LIMIT 1)
    UNION ALL
    SELECT (SELECT closes_at FROM activation_window
            WHERE phase = 'ahead' AND closes_at > edge.at AND closes_at <= :until ORDER BY closes_at LIMIT 1)
    FROM edge WHERE edge.at IS NOT NULL
)
SELECT at FROM edge WHERE at IS NOT NULL;

WITH RECURSIVE edge (at) AS (
    (SELECT closes_at FROM activation_window
     WHERE phase = 'open' AND closes_at > :since AND closes_at <= :until ORDER BY closes_at LIMIT 1)
    UNION ALL
    SELECT (SELECT closes_at FROM activation_window
            WHERE phase = 'open' AND closes_at > edge.at AND closes_at <= :until ORDER BY closes_at LIMIT 1)
    FROM edge WHERE edge.at IS NOT NULL
)
SELECT at FROM edge WHERE at IS NOT NULL;


-- views.schedule.upcoming: at most so many
SELECT
    anon_1.at,
    anon_1.opens,
    session.session_id,
    anon_1.session_instance_id,
    session.name,
    session.city,
    session.country,
    session.timezone
FROM (
    SELECT
        activation_window.opens_at AS at,
        true AS opens,
        activation_window.session_id AS session_id,
        activation_window.session_instance_id AS session_instance_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at > statement_timestamp()
        AND activation_window.opens_at <= statement_timestamp() + :look_ahead
    UNION ALL
    SELECT
        activation_window.closes_at AS at,
        false AS opens,
        activation_window.session_id AS session_id,
        activation_window.session_instance_id AS session_instance_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.closes_at > statement_timestamp()
        AND activation_window.closes_at <= statement_timestamp() + :look_ahead
    UNION ALL
    SELECT
        activation_window.closes_at AS at,
        false AS opens,
        activation_window.session_id AS session_id,
        activation_window.session_instance_id AS session_instance_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at > statement_timestamp()
        AND activation_window.closes_at <= statement_timestamp() + :look_ahead
) AS anon_1
JOIN session ON session.session_id = anon_1.session_id
ORDER BY anon_1.at, anon_1.opens, anon_1.session_instance_id
LIMIT :limit;


-- views.schedule.upcoming: all
SELECT
    anon_1.at,
    anon_1.opens,
    session.session_id,
    anon_1.session_instance_id,
    session.name,
    session.city,
    session.country,
    session.timezone
FROM (
    SELECT
        activation_window.opens_at AS at,
        true AS opens,
        activation_window.session_id AS session_id,
        activation_window.session_instance_id AS session_instance_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.opens_at > statement_timestamp()
        AND activation_window.opens_at <= statement_timestamp() + :look_ahead
    UNION ALL
    SELECT
        activation_window.closes_at AS at,
        false AS opens,
        activation_window.session_id AS session_id,
        activation_window.session_instance_id AS session_instance_id
    FROM activation_window
    WHERE activation_window.phase = 'ahead'
        AND activation_window.closes_at > statement_timestamp()
        AND activation_window.closes_at <= statement_timestamp() + :look_ahead
    UNION ALL
    SELECT
        activation_window.closes_at AS at,
        false AS opens,
        activation_window.session_id AS session_id,
        activation_window.session_instance_id AS session_instance_id
    FROM activation_window
    WHERE activation_window.phase = 'open'
        AND activation_window.closes_at > statement_timestamp()
        AND activation_window.closes_at <= statement_timestamp() + :look_ahead
) AS anon_1
JOIN session ON session.session_id = anon_1.session_id
ORDER BY anon_1.at, anon_1.opens, anon_1.session_instance_id;
