-- Devices that wait for one of their person's own to confirm them, devices that recover a person and answer only later, passkeys that
-- guard passkeys, and when things were used last.

alter table devices add column confirmed_at integer not null default 0;
-- Until now whoever had a code was believed.
update devices set confirmed_at = enrolled_at;
alter table devices add column confirmed_with text check (confirmed_with in ('passkey', 'device'));
alter table devices add column approves_from integer;
alter table devices add column last_used_at integer;
alter table passkeys add column last_used_at integer;
alter table bots add column last_used_at integer;

-- A device that waits is none yet: it is here and not among the devices, so that whatever asks for a device does not find it.
create table waiting_devices (
    id blob primary key,
    user_id blob not null references users,
    name text not null,
    platform text not null check (platform in ('ios', 'android', 'web', 'cli')),
    public_key blob not null,
    thumbprint blob not null unique,
    claimed_at integer not null,
    expires_at integer not null,
    verdict text check (verdict in ('confirmed', 'rejected')),
    decided_at integer,
    decided_by blob references devices,
    check ((verdict is null) = (decided_at is null))
) strict;
create index waiting_devices_user on waiting_devices (user_id) where verdict is null;

-- What was offered to a device of the same person to sign, and the proof with which it confirmed.
create table device_challenges (
    id blob primary key,
    waiting_id blob not null references waiting_devices,
    device_id blob not null references devices,
    statement text not null,
    ceremony text,
    expires_at integer not null,
    used_at integer,
    passkey_id blob references passkeys,
    proof text,
    check ((used_at is null) = (proof is null))
) strict;
create index device_challenges_waiting on device_challenges (waiting_id);

alter table enrollments add column purpose text not null default 'device' check (purpose in ('device', 'recovery'));
alter table enrollments add column waiting_id blob references waiting_devices;

-- What a passkey that is there already has to sign before another is made.
alter table ceremonies add column guard text;
