-- The last entry that was cut from the journal's beginning: the chain is verified from there.
alter table journal_head add column cut_seq integer not null default 0;
alter table journal_head add column cut_sha256 blob not null default x'0000000000000000000000000000000000000000000000000000000000000000';

-- For what a notification replaces, when that is forgotten.
create index notifications_replaces on notifications (replaces_id) where replaces_id is not null;

-- What is over, the oldest first.
create index approvals_decided on approvals (decided_at) where decided_at is not null;
create index incidents_resolved on incidents (acted_at) where state = 'resolved';
create index notifications_expiry on notifications (expires_at);
