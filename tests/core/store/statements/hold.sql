-- The statements of core.store.hold. `make sql` writes this file.


-- hold.end_soon_if_stopped
SELECT set_config('idle_in_transaction_session_timeout', '0.1s', true) AS set_config_1;
