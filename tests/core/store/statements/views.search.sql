-- The statements of core.store.views.search. `make sql` writes this file.


-- views.search.sessions_named: the first page
SELECT
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session.recurrence,
    session.initiation_date,
    session.termination_date,
    session.active_buffer_minutes_before,
    session.active_buffer_minutes_after,
    session_plan.error
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE starts_with(
    lower(regexp_replace(session.name, '[[:punct:]]', '', 'g')),
    lower(regexp_replace(:word, '[[:punct:]]', '', 'g'))
)
    AND lower(regexp_replace(:word, '[[:punct:]]', '', 'g')) != ''
ORDER BY lower(regexp_replace(session.name, '[[:punct:]]', '', 'g'))
USING ~<~, session.session_id
LIMIT :limit;


-- views.search.sessions_named: a later page
SELECT
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session.recurrence,
    session.initiation_date,
    session.termination_date,
    session.active_buffer_minutes_before,
    session.active_buffer_minutes_after,
    session_plan.error
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE starts_with(
    lower(regexp_replace(session.name, '[[:punct:]]', '', 'g')),
    lower(regexp_replace(:word, '[[:punct:]]', '', 'g'))
)
    AND lower(regexp_replace(:word, '[[:punct:]]', '', 'g')) != ''
    AND (lower(regexp_replace(session.name, '[[:punct:]]', '', 'g')) ~>=~ (
        SELECT lower(regexp_replace(session_1.name, '[[:punct:]]', '', 'g')) AS lower_1
        FROM session AS session_1
        WHERE session_1.session_id = :session_id
    ))
    AND (
        (lower(regexp_replace(session.name, '[[:punct:]]', '', 'g')) ~>~ (
            SELECT lower(regexp_replace(session_1.name, '[[:punct:]]', '', 'g')) AS lower_1
            FROM session AS session_1
            WHERE session_1.session_id = :session_id
        ))
            OR session.session_id > :session_id
    )
ORDER BY lower(regexp_replace(session.name, '[[:punct:]]', '', 'g'))
USING ~<~, session.session_id
LIMIT :limit;


-- views.search.sessions_in_town
SELECT
    session.session_id,
    session.name,
    session.path,
    session.city,
    session.state,
    session.country,
    session.timezone,
    session.recurrence,
    session.initiation_date,
    session.termination_date,
    session.active_buffer_minutes_before,
    session.active_buffer_minutes_after,
    session_plan.error
FROM session
LEFT OUTER JOIN session_plan ON session_plan.session_id = session.session_id
WHERE (lower(btrim(coalesce(session.city, ''))) COLLATE "C") = lower(btrim(:city))
    AND (lower(btrim(coalesce(session.country, ''))) COLLATE "C") = lower(btrim(:country))
    AND (
        (lower(btrim(coalesce(session.state, ''))) COLLATE "C") = ''
            OR lower(btrim('')) = ''
            OR (lower(btrim(coalesce(session.state, ''))) COLLATE "C") = lower(btrim(''))
    )
ORDER BY lower(regexp_replace(session.name, '[[:punct:]]', '', 'g'))
USING ~<~, session.session_id
LIMIT :limit;


-- views.search.towns_named
WITH RECURSIVE town AS (
       (
   SELECT city, state, country, lower(btrim(coalesce(session.city, ''))) COLLATE "C" AS plain_city, lower(btrim(coalesce(session.country, ''))) COLLATE "C" AS plain_country, lower(btrim(coalesce(session.state, ''))) COLLATE "C" AS plain_state
   FROM session WHERE starts_with(lower(btrim(coalesce(session.city, ''))) COLLATE "C", lower(btrim(:prefix)))
AND lower(btrim(coalesce(session.city, ''))) COLLATE "C" <> '' ORDER BY lower(btrim(coalesce(session.city, ''))) COLLATE "C", lower(btrim(coalesce(session.country, ''))) COLLATE "C", lower(btrim(coalesce(session.state, ''))) COLLATE "C" LIMIT 1)
       UNION ALL
       SELECT following.* FROM town CROSS JOIN LATERAL (

   SELECT city, state, country, lower(btrim(coalesce(session.city, ''))) COLLATE "C" AS plain_city, lower(btrim(coalesce(session.country, ''))) COLLATE "C" AS plain_country, lower(btrim(coalesce(session.state, ''))) COLLATE "C" AS plain_state
   FROM session WHERE starts_with(lower(btrim(coalesce(session.city, ''))) COLLATE "C", lower(btrim(:prefix)))
AND (lower(btrim(coalesce(session.city, ''))) COLLATE "C", lower(btrim(coalesce(session.country, ''))) COLLATE "C", lower(btrim(coalesce(session.state, ''))) COLLATE "C") > (plain_city, plain_country, plain_state) ORDER BY lower(btrim(coalesce(session.city, ''))) COLLATE "C", lower(btrim(coalesce(session.country, ''))) COLLATE "C", lower(btrim(coalesce(session.state, ''))) COLLATE "C" LIMIT 1
       ) following
   )
   SELECT city, state, country FROM town LIMIT :limit;


-- views.search.town_of
SELECT person.city, person.state, person.country
FROM person
WHERE person.person_id = :person_id;
