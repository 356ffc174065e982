-- An attempt is its own place in the queue: due_at moves forward when it is claimed, lease is the fence that a late worker fails at.
create table attempts_new (
    id blob primary key,
    notification_id blob not null references notifications,
    -- None by e-mail, which reaches a person and no device.
    device_id blob references devices,
    channel text not null check (channel in ('apns', 'fcm', 'web_push', 'mail')),
    urgency text not null check (urgency in ('high', 'normal')),
    -- 0 as planned, 1 once nobody said that it came: louder.
    step integer not null,
    state text not null check (state in ('waiting', 'accepted', 'failed', 'withdrawn')),
    detail text,
    created_at integer not null,
    finished_at integer,
    due_at integer not null,
    lease integer not null,
    tries integer not null,
    -- Put off because its route is down, which counts as failed until it is not.
    route_down_at integer,
    received_at integer,
    displayed_at integer,
    opened_at integer,
    check ((device_id is null) = (channel = 'mail'))
) strict;
insert into attempts_new (id, notification_id, device_id, channel, urgency, step, state, detail, created_at, finished_at, due_at,
        lease, tries)
    select id, notification_id, device_id, 'web_push',
        case when (select json_extract(content, '$.high') from notifications where notifications.id = notification_id) = 1
            then 'high' else 'normal' end, 0,
        state, detail, created_at, finished_at,
        coalesce((select min(due_at) from jobs where kind = 'push' and subject_id = attempts.id), created_at), 0, 0
    from attempts;
drop table attempts;
alter table attempts_new rename to attempts;
create index attempts_notification on attempts (notification_id);
create index attempts_due on attempts (channel, urgency, due_at) where state = 'waiting';
delete from jobs where kind = 'push';

-- The carrier's name, which decides the queue without opening the address.
alter table push_registrations add column kind text not null default 'web_push' check (kind in ('apns', 'fcm', 'web_push'));

-- Behind which device the fan-out goes on; null once every device has its attempt.
alter table notifications add column fan_out_after blob;
-- When nothing was left that could reach the person.
alter table notifications add column unreachable_at integer;

-- A fan-out goes on behind a device: without sorting all of a person's devices at each step.
drop index devices_user;
create index devices_user on devices (user_id, id);
