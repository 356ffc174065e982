-- An attempt is its own place in the queue: due_at moves forward when it is claimed, lease is the fence that a late worker fails at.
-- device_id: none by e-mail, which reaches a person and no device. step: 0 as planned, 1 once nobody said that it came: louder.
-- route_down_at: put off because its route is down, which counts as failed until it is not.
alter table attempts alter column device_id drop not null;
alter table attempts add column channel text not null default 'web_push' check (channel in ('apns', 'fcm', 'web_push', 'mail'));
alter table attempts alter column channel drop default;
alter table attempts add column urgency text not null default 'normal' check (urgency in ('high', 'normal'));
alter table attempts alter column urgency drop default;
alter table attempts add column step bigint not null default 0;
alter table attempts alter column step drop default;
alter table attempts add column due_at bigint not null default 0;
alter table attempts alter column due_at drop default;
alter table attempts add column lease bigint not null default 0;
alter table attempts alter column lease drop default;
alter table attempts add column tries bigint not null default 0;
alter table attempts alter column tries drop default;
alter table attempts add column route_down_at bigint;
alter table attempts add column received_at bigint;
alter table attempts add column displayed_at bigint;
alter table attempts add column opened_at bigint;
alter table attempts add check ((device_id is null) = (channel = 'mail'));
update attempts set
    urgency = case when (select (content ->> 'high')::boolean from notifications where notifications.id = notification_id)
        then 'high' else 'normal' end,
    due_at = coalesce((select min(due_at) from jobs where kind = 'push' and subject_id = attempts.id), created_at);
create index attempts_due on attempts (channel, urgency, due_at) where state = 'waiting';
delete from jobs where kind = 'push';

-- The carrier's name, which decides the queue without opening the address.
alter table push_registrations add column kind text not null default 'web_push' check (kind in ('apns', 'fcm', 'web_push'));

-- fan_out_after: behind which device the fan-out goes on; null once every device has its attempt.
-- unreachable_at: when nothing was left that could reach the person.
alter table notifications add column fan_out_after uuid;
alter table notifications add column unreachable_at bigint;

-- A fan-out goes on behind a device: without sorting all of a person's devices at each step.
drop index devices_user;
create index devices_user on devices (user_id, id);
