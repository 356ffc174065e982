-- Who somebody is in chat. Ended links stay: what was done under them is in the journal.
create table chat_identities (
    id uuid primary key,
    platform text not null,
    workspace text not null,
    chat_user text not null,
    name text,
    user_id uuid not null references users,
    bot_id uuid not null references bots,
    linked_at bigint not null,
    unlinked_at bigint
);
create unique index chat_identities_linked on chat_identities (platform, workspace, chat_user) where unlinked_at is null;
create index chat_identities_user on chat_identities (user_id);

-- What somebody types on their phone to say that a chat identity is theirs: one at a time for each identity.
create table chat_link_codes (
    code_sha256 bytea primary key,
    platform text not null,
    workspace text not null,
    chat_user text not null,
    name text,
    bot_id uuid not null references bots,
    expires_at bigint not null,
    identity_id uuid references chat_identities,
    constraint chat_link_codes_once unique (platform, workspace, chat_user)
);
create index chat_link_codes_expiry on chat_link_codes (expires_at);
