-- Instants are microseconds since the Unix epoch. Secrets are stored as SHA-256, or sealed under the master key where they must be
-- recovered; only public keys of devices are here.

create table users (
    id blob primary key,
    handle text not null unique,
    name text not null,
    role text not null check (role in ('admin', 'member')),
    created_at integer not null,
    removed_at integer
) strict;

create table bots (
    id blob primary key,
    name text not null unique,
    token_sha256 blob not null unique,
    scopes text not null,
    created_at integer not null,
    revoked_at integer
) strict;

create table devices (
    id blob primary key,
    user_id blob not null references users,
    name text not null,
    platform text not null check (platform in ('ios', 'android', 'web', 'cli')),
    public_key blob not null,
    thumbprint blob not null unique,
    enrolled_at integer not null,
    revoked_at integer
) strict;
create index devices_user on devices (user_id);

-- user_id is null for the code that makes the first administrator.
create table enrollments (
    id blob primary key,
    code_sha256 blob not null unique,
    user_id blob references users,
    created_at integer not null,
    expires_at integer not null,
    claimed_at integer,
    device_id blob references devices
) strict;

create table push_registrations (
    device_id blob primary key references devices,
    address_sealed blob not null,
    registered_at integer not null,
    retired_at integer
) strict;

create table passkeys (
    id blob primary key,
    user_id blob not null references users,
    device_id blob not null references devices,
    name text not null,
    credential_id blob not null unique,
    credential text not null,
    created_at integer not null,
    revoked_at integer
) strict;
create index passkeys_user on passkeys (user_id);

create table ceremonies (
    id blob primary key,
    device_id blob not null references devices,
    state text not null,
    expires_at integer not null
) strict;

create table signing_keys (
    id text primary key,
    purpose text not null,
    public_key blob not null,
    private_key_sealed blob not null,
    created_at integer not null
) strict;

-- Proofs and assertions are good for one call: what was used, until it would have expired by itself.
create table used_proofs (
    sha256 blob primary key,
    expires_at integer not null
) strict;
create index used_proofs_expiry on used_proofs (expires_at);

create table idempotency_keys (
    caller text not null,
    key text not null,
    request_sha256 blob not null,
    outcome text not null,
    expires_at integer not null,
    primary key (caller, key)
) strict;
create index idempotency_keys_expiry on idempotency_keys (expires_at);

create table approvals (
    id blob primary key,
    tag text not null,
    bot_id blob not null references bots,
    requester_id blob not null references users,
    action text not null,
    action_sha256 blob not null,
    reason text,
    origin text,
    requirement text not null,
    state text not null check (state in ('pending', 'approved', 'denied', 'expired', 'cancelled')),
    created_at integer not null,
    expires_at integer not null,
    decided_at integer,
    decided_by blob references users,
    decision_reason text,
    check ((state = 'pending') = (decided_at is null)),
    check ((state in ('approved', 'denied')) = (decided_by is not null))
) strict;
create index approvals_pending on approvals (requester_id) where state = 'pending';

create table challenges (
    id blob primary key,
    approval_id blob not null references approvals,
    approver_id blob not null references users,
    verdict text not null check (verdict in ('approve', 'deny')),
    statement text not null,
    ceremony text not null,
    expires_at integer not null,
    used_at integer
) strict;
create index challenges_approval on challenges (approval_id);

create table answers (
    challenge_id blob primary key references challenges,
    approval_id blob not null references approvals,
    approver_id blob not null references users,
    device_id blob not null references devices,
    passkey_id blob not null references passkeys,
    verdict text not null check (verdict in ('approve', 'deny')),
    reason text,
    statement text not null,
    credential text not null,
    answered_at integer not null,
    constraint answers_once unique (approval_id, approver_id)
) strict;

create table grants (
    id blob primary key,
    approval_id blob not null unique references approvals,
    bot_id blob not null references bots,
    issued_at integer not null,
    expires_at integer not null,
    redeemed_at integer
) strict;

create table incidents (
    id blob primary key,
    ref text not null unique,
    title text not null,
    details text,
    links text not null,
    urgency text not null check (urgency in ('high', 'low')),
    opened_by text not null,
    plan text not null,
    state text not null check (state in ('triggered', 'acknowledged', 'resolved')),
    step integer not null,
    ring integer not null,
    rings_left integer not null,
    timer_at integer,
    acted_by blob references users,
    acted_via blob references bots,
    acted_at integer,
    created_at integer not null,
    check ((state = 'resolved') or (state = 'acknowledged') or (timer_at is not null))
) strict;
create index incidents_open on incidents (created_at) where state <> 'resolved';

create table notifications (
    id blob primary key,
    user_id blob not null references users,
    subject_id blob not null,
    round integer not null,
    content text not null,
    created_at integer not null,
    expires_at integer not null,
    withdrawn_at integer,
    replaces_id blob references notifications
) strict;
create index notifications_subject on notifications (subject_id);

create table attempts (
    id blob primary key,
    notification_id blob not null references notifications,
    device_id blob not null references devices,
    state text not null check (state in ('waiting', 'accepted', 'failed', 'withdrawn')),
    detail text,
    created_at integer not null,
    finished_at integer
) strict;
create index attempts_notification on attempts (notification_id);

-- due_at moves forward when a job is claimed; lease is the fence that a late worker fails at.
create table jobs (
    id blob primary key,
    kind text not null,
    subject_id blob not null,
    due_at integer not null,
    lease integer not null,
    tries integer not null,
    created_at integer not null,
    last_error text,
    buried_at integer
) strict;
create index jobs_due on jobs (due_at) where buried_at is null;
create index jobs_subject on jobs (subject_id);

-- Appended without a number inside the deciding transaction; numbered and chained afterwards by one sealer.
create table journal (
    id blob primary key,
    seq integer unique,
    at integer not null,
    kind text not null,
    actor text not null,
    subject text not null,
    data text not null,
    sha256 blob
) strict;
create index journal_unsealed on journal (id) where seq is null;
create index journal_subject on journal (subject);

create table journal_head (
    id integer primary key check (id = 1),
    seq integer not null,
    sha256 blob not null
) strict;
insert into journal_head (id, seq, sha256) values (1, 0, zeroblob(32));
