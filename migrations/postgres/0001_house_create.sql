-- Instants are microseconds since the Unix epoch. Secrets are stored as SHA-256, or sealed under the master key where they must be
-- recovered; only public keys of devices are here.

create table users (
    id uuid primary key,
    handle text not null unique,
    name text not null,
    role text not null check (role in ('admin', 'member')),
    created_at bigint not null,
    removed_at bigint
);

create table bots (
    id uuid primary key,
    name text not null unique,
    token_sha256 bytea not null unique,
    scopes jsonb not null,
    created_at bigint not null,
    revoked_at bigint
);

create table devices (
    id uuid primary key,
    user_id uuid not null references users,
    name text not null,
    platform text not null check (platform in ('ios', 'android', 'web', 'cli')),
    public_key bytea not null,
    thumbprint bytea not null unique,
    enrolled_at bigint not null,
    revoked_at bigint
);
create index devices_user on devices (user_id);

-- user_id is null for the code that makes the first administrator.
create table enrollments (
    id uuid primary key,
    code_sha256 bytea not null unique,
    user_id uuid references users,
    created_at bigint not null,
    expires_at bigint not null,
    claimed_at bigint,
    device_id uuid references devices
);

create table push_registrations (
    device_id uuid primary key references devices,
    address_sealed bytea not null,
    registered_at bigint not null,
    retired_at bigint
);

create table passkeys (
    id uuid primary key,
    user_id uuid not null references users,
    device_id uuid not null references devices,
    name text not null,
    credential_id bytea not null unique,
    credential jsonb not null,
    created_at bigint not null,
    revoked_at bigint
);
create index passkeys_user on passkeys (user_id);

create table ceremonies (
    id uuid primary key,
    device_id uuid not null references devices,
    state jsonb not null,
    expires_at bigint not null
);

create table signing_keys (
    id text primary key,
    purpose text not null,
    public_key bytea not null,
    private_key_sealed bytea not null,
    created_at bigint not null
);

-- Proofs and assertions are good for one call: what was used, until it would have expired by itself.
create table used_proofs (
    sha256 bytea primary key,
    expires_at bigint not null
);
create index used_proofs_expiry on used_proofs (expires_at);

create table idempotency_keys (
    caller text not null,
    key text not null,
    request_sha256 bytea not null,
    outcome jsonb not null,
    expires_at bigint not null,
    primary key (caller, key)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);

create table approvals (
    id uuid primary key,
    tag text not null,
    bot_id uuid not null references bots,
    requester_id uuid not null references users,
    action jsonb not null,
    action_sha256 bytea not null,
    reason text,
    origin jsonb,
    requirement jsonb not null,
    state text not null check (state in ('pending', 'approved', 'denied', 'expired', 'cancelled')),
    created_at bigint not null,
    expires_at bigint not null,
    decided_at bigint,
    decided_by uuid references users,
    decision_reason text,
    check ((state = 'pending') = (decided_at is null)),
    check ((state in ('approved', 'denied')) = (decided_by is not null))
);
create index approvals_pending on approvals (requester_id) where state = 'pending';

create table challenges (
    id uuid primary key,
    approval_id uuid not null references approvals,
    approver_id uuid not null references users,
    verdict text not null check (verdict in ('approve', 'deny')),
    statement text not null,
    ceremony jsonb not null,
    expires_at bigint not null,
    used_at bigint
);
create index challenges_approval on challenges (approval_id);

create table answers (
    challenge_id uuid primary key references challenges,
    approval_id uuid not null references approvals,
    approver_id uuid not null references users,
    device_id uuid not null references devices,
    passkey_id uuid not null references passkeys,
    verdict text not null check (verdict in ('approve', 'deny')),
    reason text,
    statement text not null,
    credential jsonb not null,
    answered_at bigint not null,
    constraint answers_once unique (approval_id, approver_id)
);

create table grants (
    id uuid primary key,
    approval_id uuid not null unique references approvals,
    bot_id uuid not null references bots,
    issued_at bigint not null,
    expires_at bigint not null,
    redeemed_at bigint
);

create table incidents (
    id uuid primary key,
    ref text not null unique,
    title text not null,
    details text,
    links jsonb not null,
    urgency text not null check (urgency in ('high', 'low')),
    opened_by jsonb not null,
    plan jsonb not null,
    state text not null check (state in ('triggered', 'acknowledged', 'resolved')),
    step bigint not null,
    ring bigint not null,
    rings_left bigint not null,
    timer_at bigint,
    acted_by uuid references users,
    acted_via uuid references bots,
    acted_at bigint,
    created_at bigint not null,
    check ((state = 'resolved') or (state = 'acknowledged') or (timer_at is not null))
);
create index incidents_open on incidents (created_at) where state <> 'resolved';

create table notifications (
    id uuid primary key,
    user_id uuid not null references users,
    subject_id uuid not null,
    round bigint not null,
    content jsonb not null,
    created_at bigint not null,
    expires_at bigint not null,
    withdrawn_at bigint,
    replaces_id uuid references notifications
);
create index notifications_subject on notifications (subject_id);

create table attempts (
    id uuid primary key,
    notification_id uuid not null references notifications,
    device_id uuid not null references devices,
    state text not null check (state in ('waiting', 'accepted', 'failed', 'withdrawn')),
    detail text,
    created_at bigint not null,
    finished_at bigint
);
create index attempts_notification on attempts (notification_id);

-- due_at moves forward when a job is claimed; lease is the fence that a late worker fails at.
create table jobs (
    id uuid primary key,
    kind text not null,
    subject_id uuid not null,
    due_at bigint not null,
    lease bigint not null,
    tries bigint not null,
    created_at bigint not null,
    last_error text,
    buried_at bigint
);
create index jobs_due on jobs (due_at) where buried_at is null;
create index jobs_subject on jobs (subject_id);

-- Appended without a number inside the deciding transaction; numbered and chained afterwards by one sealer.
create table journal (
    id uuid primary key,
    seq bigint unique,
    at bigint not null,
    kind text not null,
    actor jsonb not null,
    subject text not null,
    data jsonb not null,
    sha256 bytea
);
create index journal_unsealed on journal (id) where seq is null;
create index journal_subject on journal (subject);

create table journal_head (
    id bigint primary key check (id = 1),
    seq bigint not null,
    sha256 bytea not null
);
insert into journal_head (id, seq, sha256) values (1, 0, decode(repeat('00', 32), 'hex'));
