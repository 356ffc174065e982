-- What Slack sent and heard that it was taken, sealed, until it is done. once_sha256: what makes it one of its kind; it stays for a while
-- after it is done, so that what is sent twice is done once. tries is the fence of whoever works on it.
create table slack_calls (
    id blob primary key,
    once_sha256 blob not null unique,
    sealed blob,
    received_at integer not null,
    due_at integer not null,
    tries integer not null,
    done_at integer
) strict;
create index slack_calls_due on slack_calls (due_at) where done_at is null;
create index slack_calls_done on slack_calls (done_at) where done_at is not null;

-- How far a workspace was told what became of what was asked there, and which server tells it until when. lease is the fence.
create table slack_followers (
    bot_id blob not null references bots,
    workspace text not null,
    seq integer not null,
    lease integer not null,
    held_until integer not null,
    primary key (bot_id, workspace)
) strict;
