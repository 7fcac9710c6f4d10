-- The first step back: the columns as they were, empty; then `adopt --mirror` fills them.
SET lock_timeout = '200ms';
ALTER TABLE session_instance ADD COLUMN IF NOT EXISTS is_active boolean NOT NULL DEFAULT false;
ALTER TABLE person ADD COLUMN IF NOT EXISTS at_active_session_instance_id integer;
ALTER TABLE person DROP CONSTRAINT IF EXISTS person_at_active_session_instance_id_fkey;
ALTER TABLE person ADD CONSTRAINT person_at_active_session_instance_id_fkey
    FOREIGN KEY (at_active_session_instance_id) REFERENCES session_instance NOT VALID;
ALTER TABLE person VALIDATE CONSTRAINT person_at_active_session_instance_id_fkey;
CREATE INDEX CONCURRENTLY IF NOT EXISTS session_instance_is_active ON session_instance (session_id) WHERE is_active;
CREATE INDEX CONCURRENTLY IF NOT EXISTS person_at_active_session_instance ON person (at_active_session_instance_id);
