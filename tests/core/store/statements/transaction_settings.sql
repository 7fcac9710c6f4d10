-- The statements of core.db.transaction_settings. `make sql` writes this file.


-- transaction_settings.clock
SELECT clock_timestamp() AS clock_timestamp_1;


-- transaction_settings.begin_own
SELECT
    set_config('enable_seqscan', :value_0, true) AS set_config_1,
    set_config('enable_hashjoin', :value_1, true) AS set_config_2,
    set_config('enable_mergejoin', :value_2, true) AS set_config_3,
    set_config('timezone', :value_3, true) AS set_config_4,
    set_config('array_nulls', :value_4, true) AS set_config_5,
    set_config('datestyle', :value_5, true) AS set_config_6,
    set_config('intervalstyle', :value_6, true) AS set_config_7,
    set_config('extra_float_digits', :value_7, true) AS set_config_8,
    set_config('transform_null_equals', :value_8, true) AS set_config_9,
    set_config('row_security', :value_9, true) AS set_config_10,
    set_config('seisiun.own_write', :value_10, true) AS set_config_11,
    set_config('lock_timeout', :value_11, true) AS set_config_12,
    set_config('statement_timeout', :value_12, true) AS set_config_13,
    set_config('idle_in_transaction_session_timeout', :value_13, true) AS set_config_14,
    set_config('synchronous_commit', :value_14, true) AS set_config_15;


-- transaction_settings.temporary_settings
SELECT
    before.transaction_isolation,
    before.lock_timeout,
    before."seisiun.own_write",
    set_config('lock_timeout', :value_0, true) AS set_config_1,
    set_config('seisiun.own_write', :value_1, true) AS set_config_2
FROM (
    SELECT
        current_setting('transaction_isolation', true) AS transaction_isolation,
        current_setting('lock_timeout', true) AS lock_timeout,
        current_setting('seisiun.own_write', true) AS "seisiun.own_write"
    LIMIT ALL OFFSET 0
) AS before;

SELECT
    set_config('lock_timeout', :value_0, true) AS set_config_1,
    set_config('seisiun.own_write', :value_1, true) AS set_config_2;


-- transaction_settings.fires_no_triggers
SELECT current_setting('session_replication_role') AS current_setting_1;


-- transaction_settings.is_read_only
SELECT current_setting('transaction_read_only') AS current_setting_1;
