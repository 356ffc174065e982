-- An address is one device's at a time. It is sealed anew each time it is registered, so it is known by a MAC under the master key. None
-- for what was registered before this: the next start fills it in, and where devices share an address the newest registration stays.
alter table push_registrations add column address_mac blob;
create unique index push_registrations_address on push_registrations (address_mac) where retired_at is null;

-- Which registration of its device was tried last.
alter table attempts add column registered_at integer;
-- How often its carrier was asked in vain: the pauses grow with it.
alter table attempts add column asked integer not null default 0;
-- Since when a try of it may have come though nobody said so.
alter table attempts add column unsure_at integer;

-- Where a subject is shown is looked up some devices at a time.
drop index attempts_notification;
create index attempts_notification on attempts (notification_id, device_id);

-- A subject that is taken off more screens than one transaction writes: at whom that is, and behind which device of theirs it goes on;
-- without one, that person is done.
create table withdrawals (
    subject_id blob primary key,
    content text not null,
    answered_on blob,
    created_at integer not null,
    expires_at integer not null,
    user_id blob references users,
    device_id blob,
    check (device_id is null or user_id is not null)
) strict;
