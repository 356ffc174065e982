-- Incidents that a person is told of together: those of one team that came in a storm, or those that can wait.
-- group_id: the team of a storm, the person themself of what can wait. rung_at: when it rang last; told_at: when its last push was
-- written, rung or not; due_at: when the next one is to be.
create table bundles (
    id blob not null unique,
    user_id blob not null references users,
    kind text not null check (kind in ('storm', 'low')),
    group_id blob not null,
    round integer not null,
    rung_at integer,
    told_at integer,
    due_at integer,
    primary key (user_id, kind, group_id)
) strict;
create index bundles_due on bundles (due_at) where due_at is not null;

-- counted_at: when a push was written that counts it.
create table bundle_incidents (
    bundle_id blob not null references bundles (id),
    incident_id blob not null references incidents on delete cascade,
    folded_at integer not null,
    counted_at integer,
    primary key (bundle_id, incident_id)
) strict;
create index bundle_incidents_incident on bundle_incidents (incident_id);

-- rung_at: when the incident last rang this person by a push of its own.
alter table incident_responders add column rung_at integer;
create index incident_responders_rung on incident_responders (user_id, rung_at) where rung_at is not null;

-- heard_at: when the phone last said that a push came; written at most once an hour.
alter table push_registrations add column heard_at integer;

-- urgent: what somebody may be waiting for at night goes before what can wait.
alter table jobs add column urgent integer not null default 1 check (urgent in (0, 1));
update jobs set urgent = 0 where kind in ('approval_deadline', 'approval_bell', 'webhook');
drop index jobs_due;
create index jobs_due on jobs (urgent, due_at) where buried_at is null;

-- Timers that are overdue.
create index incidents_timer on incidents (timer_at) where state <> 'resolved';
