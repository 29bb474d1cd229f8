-- opsmart_reader: the role of BI tools. It reads `mart` and nothing else.
-- Run by whoever may create roles: the embedded server's administrator, or the user of OPSMART_WAREHOUSE_URL if that
-- user may. Otherwise it says what an administrator has to do; it may be run again at any time.
do $$
declare
    wanted constant text[] := array[
        'default_transaction_read_only=on',
        'idle_in_transaction_session_timeout=10min',
        'statement_timeout=15min'
    ];
begin
    if not exists (select 1 from pg_roles where rolname = 'opsmart_reader') then
        create role opsmart_reader nologin;
    end if;
    if not exists (select 1 from pg_roles where rolname = 'opsmart_reader' and rolconfig @> wanted) then
        -- A reader that forgets an open transaction would keep old row versions from being cleaned away.
        alter role opsmart_reader set default_transaction_read_only = on;
        alter role opsmart_reader set idle_in_transaction_session_timeout = '10min';
        alter role opsmart_reader set statement_timeout = '15min';
    end if;
exception
    when insufficient_privilege then
        raise warning 'the role opsmart_reader for BI tools could not be set up: %', sqlerrm
            using hint = 'have an administrator of the server run sql/roles.sql once, then migrate again';
end
$$;
