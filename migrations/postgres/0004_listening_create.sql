-- Who is told of events by HTTP. The address and the secrets are sealed under the master key; cursor is the number of the last entry
-- of the journal that was delivered or skipped.
create table webhooks (
    id uuid primary key,
    bot_id uuid references bots,
    url_sealed bytea not null,
    kinds jsonb not null,
    secret_sealed bytea not null,
    previous_sealed bytea,
    previous_until bigint,
    cursor bigint not null,
    failures bigint not null,
    failing_since bigint,
    last_error text,
    created_at bigint not null,
    disabled_at bigint,
    disabled_why text,
    check ((previous_sealed is null) = (previous_until is null)),
    check ((disabled_at is null) = (disabled_why is null)),
    check ((failures = 0) = (failing_since is null))
);
