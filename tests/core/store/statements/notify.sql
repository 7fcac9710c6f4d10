-- The statements of core.store.notify. `make sql` writes this file.


-- notify.active_changed
SELECT pg_notify('active_changed', unnest(:payloads)) AS pg_notify_1;
