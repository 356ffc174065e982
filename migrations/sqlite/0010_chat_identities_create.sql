-- Who somebody is in chat. Ended links stay: what was done under them is in the journal.
create table chat_identities (
    id blob primary key,
    platform text not null,
    workspace text not null,
    chat_user text not null,
    name text,
    user_id blob not null references users,
    bot_id blob not null references bots,
    linked_at integer not null,
    unlinked_at integer
) strict;
create unique index chat_identities_linked on chat_identities (platform, workspace, chat_user) where unlinked_at is null;
create index chat_identities_user on chat_identities (user_id);

-- What somebody types on their phone to say that a chat identity is theirs: one at a time for each identity.
create table chat_link_codes (
    code_sha256 blob primary key,
    platform text not null,
    workspace text not null,
    chat_user text not null,
    name text,
    bot_id blob not null references bots,
    expires_at integer not null,
    identity_id blob references chat_identities,
    constraint chat_link_codes_once unique (platform, workspace, chat_user)
) strict;
create index chat_link_codes_expiry on chat_link_codes (expires_at);
