-- What opsmart_reader may do; run by the owner of `mart` after every migration, as often as one likes.
do $$
begin
    if not exists (select 1 from pg_roles where rolname = 'opsmart_reader') then
        return;
    end if;

    grant usage on schema mart to opsmart_reader;
    grant select on all tables in schema mart to opsmart_reader;
    alter default privileges in schema mart grant select on tables to opsmart_reader;
    revoke all on schema ops from opsmart_reader;

    begin
        execute format('grant connect on database %I to opsmart_reader', current_database());
        execute format('revoke temporary on database %I from public', current_database());
        revoke create on schema public from public;
    exception
        when insufficient_privilege then
            raise warning 'everybody may create tables in this database: %', sqlerrm
                using hint = 'have its owner revoke temporary on the database and create on schema public from public';
    end;
end
$$;
