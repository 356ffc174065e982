-- What Slack sent and heard that it was taken, sealed, until it is done. once_sha256: what makes it one of its kind; it stays for a while
-- after it is done, so that what is sent twice is done once. tries is the fence of whoever works on it.
create table slack_calls (
    id uuid primary key,
    once_sha256 bytea not null unique,
    sealed bytea,
    received_at bigint not null,
    due_at bigint not null,
    tries bigint not null,
    done_at bigint
);
create index slack_calls_due on slack_calls (due_at) where done_at is null;
create index slack_calls_done on slack_calls (done_at) where done_at is not null;

-- How far a workspace was told what became of what was asked there, and which server tells it until when. lease is the fence.
create table slack_followers (
    bot_id uuid not null references bots,
    workspace text not null,
    seq bigint not null,
    lease bigint not null,
    held_until bigint not null,
    primary key (bot_id, workspace)
);
