-- Keys by which a chat's own bot signs its calls (ChatOps RPC). Revoked ones stay: what was done with them is in the journal.
create table bot_keys (
    id uuid primary key,
    bot_id uuid not null references bots,
    name text not null,
    public_key bytea not null,
    platform text not null,
    workspace text not null,
    created_at bigint not null,
    revoked_at bigint
);
create unique index bot_keys_name on bot_keys (name) where revoked_at is null;
create index bot_keys_bot on bot_keys (bot_id);
