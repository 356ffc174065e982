-- Keys by which a chat's own bot signs its calls (ChatOps RPC). Revoked ones stay: what was done with them is in the journal.
create table bot_keys (
    id blob primary key,
    bot_id blob not null references bots,
    name text not null,
    public_key blob not null,
    platform text not null,
    workspace text not null,
    created_at integer not null,
    revoked_at integer
) strict;
create unique index bot_keys_name on bot_keys (name) where revoked_at is null;
create index bot_keys_bot on bot_keys (bot_id);
