-- On the way back, once the mirror is on: every pointer names an evening that exists.
SET lock_timeout = '200ms';
ALTER TABLE person DROP CONSTRAINT IF EXISTS person_at_active_session_instance_id_fkey;
ALTER TABLE person ADD CONSTRAINT person_at_active_session_instance_id_fkey
    FOREIGN KEY (at_active_session_instance_id) REFERENCES session_instance NOT VALID;
ALTER TABLE person VALIDATE CONSTRAINT person_at_active_session_instance_id_fkey;
