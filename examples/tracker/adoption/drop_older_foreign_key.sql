-- Before the mirror is dropped: a pointer that nobody writes any more must not keep evenings from being deleted.
SET lock_timeout = '200ms';
ALTER TABLE person DROP CONSTRAINT IF EXISTS person_at_active_session_instance_id_fkey;
