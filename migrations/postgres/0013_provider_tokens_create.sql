-- Tokens that say to a push service who sends: minted once, used by all nodes. Sealed with the master key.
create table provider_tokens (
    name text primary key,
    token_sealed bytea not null,
    minted_at bigint not null
);
