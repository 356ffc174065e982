-- Who is paged, then who next. The steps are copied into an incident when it begins.
create table escalation_policies (
    id uuid primary key,
    name text not null,
    team_id uuid references teams,
    steps jsonb not null,
    repeats bigint not null,
    last_resort jsonb not null,
    created_at bigint not null,
    removed_at bigint
);
create unique index escalation_policies_name on escalation_policies (name) where removed_at is null;

-- What breaks. Without a policy its team is paged.
create table services (
    id uuid primary key,
    name text not null,
    team_id uuid not null references teams,
    policy_id uuid references escalation_policies,
    settings jsonb not null,
    created_at bigint not null,
    removed_at bigint
);
create unique index services_name on services (name) where removed_at is null;

-- How a monitoring system reports that a service breaks. Only a heartbeat has beats. A key that was replaced works until then.
create table integrations (
    id uuid primary key,
    service_id uuid not null references services,
    name text not null,
    kind text not null check (kind in ('events', 'alertmanager', 'grafana', 'generic', 'heartbeat')),
    key_sha256 bytea not null unique,
    previous_key_sha256 bytea,
    previous_key_until bigint,
    settings jsonb not null,
    created_at bigint not null,
    revoked_at bigint,
    beat_at bigint,
    beat_due_at bigint,
    check ((previous_key_sha256 is null) = (previous_key_until is null)),
    check (kind = 'heartbeat' or (beat_at is null and beat_due_at is null))
);
create unique index integrations_name on integrations (service_id, name) where revoked_at is null;
create index integrations_previous_key on integrations (previous_key_sha256) where previous_key_sha256 is not null;

-- Who is on call when. holder_id: who was told last that they have the pager. hand_over_at: when it is looked again whether somebody
-- else has it. gaps_told: of which gaps its team was told.
create table schedules (
    id uuid primary key,
    name text not null,
    team_id uuid references teams,
    zone text not null,
    layers jsonb not null,
    created_at bigint not null,
    changed_at bigint not null,
    removed_at bigint,
    holder_id uuid references users,
    hand_over_at bigint,
    gaps_told jsonb not null
);
create unique index schedules_name on schedules (name) where removed_at is null;
create index schedules_hand_over on schedules (hand_over_at) where removed_at is null;

-- Somebody takes the pager for a while; instead_of_id: only in that person's place.
create table overrides (
    id uuid primary key,
    schedule_id uuid not null references schedules,
    user_id uuid not null references users,
    instead_of_id uuid references users,
    from_at bigint not null,
    until_at bigint not null,
    made_by jsonb not null,
    created_at bigint not null,
    removed_at bigint,
    check (until_at > from_at)
);
create index overrides_schedule on overrides (schedule_id, until_at) where removed_at is null;

-- Calendars that are read by an address alone, whose digest this is. Without a schedule it holds all shifts of its owner.
create table calendar_feeds (
    id uuid primary key,
    capability_sha256 bytea not null unique,
    user_id uuid not null references users,
    schedule_id uuid references schedules,
    created_at bigint not null,
    revoked_at bigint
);
create index calendar_feeds_user on calendar_feeds (user_id);

-- How a person wants to be paged; without a row the defaults hold.
create table paging_rules (
    user_id uuid primary key references users,
    rules jsonb not null,
    updated_at bigint not null
);

-- While one lasts nobody is paged about a service, or about any of a team's.
create table maintenance_windows (
    id uuid primary key,
    service_id uuid references services,
    team_id uuid references teams,
    from_at bigint not null,
    until_at bigint not null,
    reason text not null,
    made_by jsonb not null,
    created_at bigint not null,
    ended_at bigint,
    check (until_at > from_at),
    check ((service_id is null) <> (team_id is null))
);
create index maintenance_windows_until on maintenance_windows (until_at) where ended_at is null;

-- What an integration reports, by its key; a row from its beginning to its end. suppressed_by: the rule that kept it from paging.
-- openings: when it opened lately, for what flaps. closes_at: it was said to be over, and is put off because it flaps.
-- group_sha256 and paged_at: of those that began an incident which others may join.
create table alerts (
    id uuid primary key,
    integration_id uuid not null references integrations,
    service_id uuid not null references services,
    dedup_key text not null,
    state text not null check (state in ('open', 'closed')),
    incident_id uuid references incidents on delete cascade,
    severity text not null check (severity in ('critical', 'error', 'warning', 'info')),
    summary text not null,
    source text not null,
    details jsonb not null,
    labels jsonb not null,
    links jsonb not null,
    reports bigint not null,
    openings jsonb not null,
    suppressed_by text,
    group_sha256 bytea,
    paged_at bigint,
    first_at bigint not null,
    last_at bigint not null,
    closes_at bigint,
    closed_at bigint,
    check ((state = 'closed') = (closed_at is not null)),
    check (state = 'open' or closes_at is null),
    check (group_sha256 is null or paged_at is not null)
);
create unique index alerts_open on alerts (integration_id, dedup_key) where state = 'open';
create index alerts_key on alerts (integration_id, dedup_key, last_at);
create index alerts_incident on alerts (incident_id);
create index alerts_service on alerts (service_id, last_at);
create index alerts_group on alerts (service_id, group_sha256, paged_at) where group_sha256 is not null;
create index alerts_waiting on alerts (service_id) where state = 'open' and (closes_at is not null or incident_id is null);
create index alerts_alone on alerts (closed_at) where incident_id is null;

-- Everybody an incident rang for or names: who may act on it.
create table incident_responders (
    incident_id uuid not null references incidents on delete cascade,
    user_id uuid not null references users,
    since_at bigint not null,
    primary key (incident_id, user_id)
);
create index incident_responders_user on incident_responders (user_id, incident_id);

-- pass: how often the plan was walked. since_at: when the step began. rung_at: when it rang last; null before its first ring.
alter table incidents add column service_id uuid references services;
alter table incidents add column team_id uuid references teams;
alter table incidents add column labels jsonb not null default '{}';
alter table incidents add column reports bigint not null default 0;
alter table incidents add column pass bigint not null default 0;
alter table incidents add column since_at bigint;
alter table incidents add column rung_at bigint;
alter table incidents add column acted_source_id uuid references integrations;
alter table incidents add column snoozed bigint not null default 0 check (snoozed in (0, 1));
alter table incidents add column merged_into_id uuid references incidents on delete set null;
update incidents set since_at = created_at, rung_at = created_at where state = 'triggered';
alter table incidents drop column rings_left;
create index incidents_service on incidents (service_id) where state <> 'resolved';
create index incidents_merged on incidents (merged_into_id);
