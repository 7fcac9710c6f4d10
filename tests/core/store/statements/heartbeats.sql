-- The statements of core.store.heartbeats. `make sql` writes this file.


-- heartbeats.beat: no pass has finished
INSERT INTO daemon_heartbeat (
    daemon_id,
    host,
    pid,
    version,
    beat_at,
    listening_since,
    next_timer_at,
    clock_offset_ms,
    zone_version,
    trouble,
    counters
)
VALUES (
    :daemon_id,
    :host,
    :pid,
    :version,
    clock_timestamp(),
    :since,
    :until,
    :clock_offset_ms,
    :zone_version,
    :trouble,
    :counters
)
ON CONFLICT (daemon_id) DO UPDATE
SET
    host = :host,
    pid = :pid,
    version = :version,
    beat_at = clock_timestamp(),
    listening_since = :since,
    next_timer_at = :until,
    clock_offset_ms = :clock_offset_ms,
    zone_version = :zone_version,
    trouble = :trouble,
    counters = :counters
RETURNING daemon_heartbeat.beat_at;


-- heartbeats.beat: a pass has finished
INSERT INTO daemon_heartbeat (
    daemon_id,
    host,
    pid,
    version,
    beat_at,
    last_look_at,
    listening_since,
    next_timer_at,
    clock_offset_ms,
    zone_version,
    trouble,
    counters
)
VALUES (
    :daemon_id,
    :host,
    :pid,
    :version,
    clock_timestamp(),
    clock_timestamp(),
    :since,
    :until,
    :clock_offset_ms,
    :zone_version,
    :trouble,
    :counters
)
ON CONFLICT (daemon_id) DO UPDATE
SET
    host = :host,
    pid = :pid,
    version = :version,
    beat_at = clock_timestamp(),
    last_look_at = clock_timestamp(),
    listening_since = :since,
    next_timer_at = :until,
    clock_offset_ms = :clock_offset_ms,
    zone_version = :zone_version,
    trouble = :trouble,
    counters = :counters
RETURNING daemon_heartbeat.beat_at;


-- heartbeats.end
UPDATE daemon_heartbeat
SET beat_at=clock_timestamp(), ended=:trouble
WHERE daemon_heartbeat.daemon_id = :daemon_id;

DELETE FROM daemon_heartbeat
WHERE daemon_heartbeat.beat_at < clock_timestamp() - make_interval(secs=>86400.0);


-- heartbeats.heartbeats
SELECT
    daemon_heartbeat.daemon_id,
    daemon_heartbeat.host,
    daemon_heartbeat.pid,
    daemon_heartbeat.version,
    daemon_heartbeat.started_at,
    daemon_heartbeat.beat_at,
    clock_timestamp() - daemon_heartbeat.beat_at AS beat_age,
    daemon_heartbeat.last_look_at,
    daemon_heartbeat.listening_since,
    daemon_heartbeat.next_timer_at,
    daemon_heartbeat.clock_offset_ms,
    daemon_heartbeat.zone_version,
    daemon_heartbeat.trouble,
    daemon_heartbeat.ended,
    daemon_heartbeat.counters
FROM daemon_heartbeat
WHERE daemon_heartbeat.ended IS NULL
ORDER BY daemon_heartbeat.beat_at DESC;


-- heartbeats.ended
SELECT
    daemon_heartbeat.daemon_id,
    daemon_heartbeat.host,
    daemon_heartbeat.pid,
    daemon_heartbeat.version,
    daemon_heartbeat.started_at,
    daemon_heartbeat.beat_at,
    clock_timestamp() - daemon_heartbeat.beat_at AS beat_age,
    daemon_heartbeat.last_look_at,
    daemon_heartbeat.listening_since,
    daemon_heartbeat.next_timer_at,
    daemon_heartbeat.clock_offset_ms,
    daemon_heartbeat.zone_version,
    daemon_heartbeat.trouble,
    daemon_heartbeat.ended,
    daemon_heartbeat.counters
FROM daemon_heartbeat
WHERE daemon_heartbeat.ended IS NOT NULL
    AND daemon_heartbeat.beat_at > clock_timestamp() - make_interval(secs=>86400.0)
ORDER BY daemon_heartbeat.beat_at DESC;


-- heartbeats.has_reconciled_within
SELECT EXISTS (
    SELECT true AS anon_2
    FROM daemon_heartbeat
    WHERE daemon_heartbeat.last_look_at BETWEEN clock_timestamp() - :age
        AND clock_timestamp()
        AND daemon_heartbeat.beat_at > clock_timestamp() - make_interval(secs=>60.0)
        AND daemon_heartbeat.ended IS NULL
) AS anon_1;
