-- Who is told of events by HTTP. The address and the secrets are sealed under the master key; cursor is the number of the last entry
-- of the journal that was delivered or skipped.
create table webhooks (
    id blob primary key,
    bot_id blob references bots,
    url_sealed blob not null,
    kinds text not null,
    secret_sealed blob not null,
    previous_sealed blob,
    previous_until integer,
    cursor integer not null,
    failures integer not null,
    failing_since integer,
    last_error text,
    created_at integer not null,
    disabled_at integer,
    disabled_why text,
    check ((previous_sealed is null) = (previous_until is null)),
    check ((disabled_at is null) = (disabled_why is null)),
    check ((failures = 0) = (failing_since is null))
) strict;
