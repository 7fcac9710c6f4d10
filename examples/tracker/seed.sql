-- A few sessions with all that years of use leave behind.
INSERT INTO session
    (name, path, session_type, city, country, timezone, recurrence, initiation_date, auto_create_instances,
     active_buffer_minutes_after)
VALUES
    ('The Blue Door', 'galway/blue-door', 'regular', 'Galway', 'Ireland', 'Europe/Dublin',
     '{"schedules": [{"type": "weekly", "weekday": "thursday", "start_time": "21:30", "end_time": "00:30"}]}',
     '2019-05-02', true, 60),
    ('Fortnightly at Finn''s', 'austin/finns', 'regular', 'Austin', 'USA', 'America/Chicago',
     '{"schedules": [{"type": "weekly", "weekday": "sunday", "start_time": "15:00", "end_time": "18:00", "every_n_weeks": 2}]}',
     '2024-01-07', true, 60),
    -- Its owner enters the evenings by hand; the buffer is two days.
    ('The Long Room', 'dublin/long-room', 'regular', 'Dublin', 'Ireland', 'Europe/Dublin',
     '{"schedules": [{"type": "monthly_nth_weekday", "weekday": "sunday", "which": [1, -1], "start_time": "16:00", "end_time": "19:00"}]}',
     NULL, false, 2880),
    ('Kitchen session', 'doolin/kitchen', 'regular', 'Doolin', 'Ireland', 'Europe/Dublin', 'Most Tuesdays, from nine',
     NULL, true, 60),
    ('Feakle festival', 'feakle/festival', 'festival', 'Feakle', 'Ireland', 'Europe/Dublin', NULL, NULL, false, 60);

-- Every Sunday of the last weeks: nobody has told the tracker's own planning about fortnights.
INSERT INTO session_instance (session_id, date, start_time, end_time)
SELECT 2, day, '15:00', '18:00' FROM generate_series(current_date - 49, current_date, interval '1 day') day
WHERE extract(dow FROM day) = 0;
-- Two evenings on one date, and two stages at once.
INSERT INTO session_instance (session_id, date, start_time, end_time, location_override) VALUES
    (3, current_date + 1, '16:00', '19:00', NULL),
    (3, current_date + 1, '16:00', '19:00', 'The back room'),
    (5, current_date, '00:00', '23:30', 'The hall'),
    (5, current_date, '00:00', '23:00', 'The marquee');

INSERT INTO person (first_name, last_name, active) VALUES
    ('Nóirín', 'Ní Bhriain', true), ('Seán', 'Ó Riada', true), ('Una', 'Gone', false);
INSERT INTO session_instance_person (session_instance_id, person_id, attendance)
SELECT session_instance_id, person_id, 'yes' FROM session_instance, person WHERE session_id = 5;
