-- An address is one device's at a time. It is sealed anew each time it is registered, so it is known by a MAC under the master key. None
-- for what was registered before this: the next start fills it in, and where devices share an address the newest registration stays.
alter table push_registrations add column address_mac bytea;
create unique index push_registrations_address on push_registrations (address_mac) where retired_at is null;

-- registered_at: which registration of its device was tried last. asked: how often its carrier was asked in vain, by which the pauses
-- grow. unsure_at: since when a try of it may have come though nobody said so.
alter table attempts add column registered_at bigint;
alter table attempts add column asked bigint not null default 0;
alter table attempts add column unsure_at bigint;

-- Where a subject is shown is looked up some devices at a time.
drop index attempts_notification;
create index attempts_notification on attempts (notification_id, device_id);

-- A subject that is taken off more screens than one transaction writes: at whom that is, and behind which device of theirs it goes on;
-- without one, that person is done.
create table withdrawals (
    subject_id uuid primary key,
    content jsonb not null,
    answered_on uuid,
    created_at bigint not null,
    expires_at bigint not null,
    user_id uuid references users,
    device_id uuid,
    check (device_id is null or user_id is not null)
);
