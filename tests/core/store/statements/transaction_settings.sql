-- The statements of core.db.transaction_settings. `make sql` writes this file.


-- transaction_settings.clock
SELECT clock_timestamp() AS clock_timestamp_1;


-- transaction_settings.begin_own
SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('timezone', 'UTC', true),
    set_config('array_nulls', 'on', true),
    set_config('datestyle', 'ISO, MDY', true),
    set_config('intervalstyle', 'postgres', true),
    set_config('extra_float_digits', '1', true),
    set_config('transform_null_equals', 'off', true),
    set_config('row_security', 'off', true),
    set_config('seisiun.own_write', 'on', true),
    set_config('lock_timeout', '250ms', true),
    set_config('statement_timeout', '5s', true),
    set_config('idle_in_transaction_session_timeout', '2s', true),
    set_config('synchronous_commit', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true);


-- transaction_settings.savepoint
SAVEPOINT seisiun;
SELECT before.*, set_config('lock_timeout', '250ms', true), set_config('seisiun.own_write', 'on', true)
FROM (
    SELECT
        current_setting('transaction_isolation', true) AS value_0,
        current_setting('lock_timeout', true) AS value_1,
        current_setting('seisiun.own_write', true) AS value_2 OFFSET 0
) AS before;

SELECT
    set_config('lock_timeout', %s, true),
    set_config('seisiun.own_write', %s, true); RELEASE SAVEPOINT seisiun;


-- transaction_settings.undo
ROLLBACK;


-- transaction_settings.fires_no_triggers
SELECT current_setting('session_replication_role') AS current_setting_1;


-- transaction_settings.is_read_only
SELECT current_setting('transaction_read_only') AS current_setting_1;
