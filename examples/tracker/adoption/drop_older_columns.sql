-- The last step of the take-over: nothing reads or writes these columns any more.
SET lock_timeout = '200ms';
ALTER TABLE person DROP COLUMN IF EXISTS at_active_session_instance_id;
ALTER TABLE session_instance DROP COLUMN IF EXISTS is_active;
