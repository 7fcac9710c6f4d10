-- The first step back: the columns, empty; then `adopt --mirror` fills them.
SET lock_timeout = '200ms';
ALTER TABLE session_instance ADD COLUMN IF NOT EXISTS is_active boolean NOT NULL DEFAULT false;
ALTER TABLE person ADD COLUMN IF NOT EXISTS at_active_session_instance_id integer;
CREATE INDEX CONCURRENTLY IF NOT EXISTS session_instance_is_active ON session_instance (session_id) WHERE is_active;
CREATE INDEX CONCURRENTLY IF NOT EXISTS person_at_active_session_instance ON person (at_active_session_instance_id);
