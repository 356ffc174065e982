-- Teams and policies, and what approvals need for several approvers and for factors beside the passkey.

create table teams (
    id blob primary key,
    name text not null unique,
    created_at integer not null
) strict;

create table team_members (
    team_id blob not null references teams,
    user_id blob not null references users,
    added_at integer not null,
    primary key (team_id, user_id)
) strict;
create index team_members_user on team_members (user_id);

-- Every change is a row with a version of its own; a policy without a document was taken away.
create table policies (
    version integer primary key,
    name text not null,
    document text,
    changed_at integer not null
) strict;
create index policies_name on policies (name, version);

-- The version of all policies together. Whoever changes one locks it.
create table policy_head (
    id integer primary key check (id = 1),
    version integer not null
) strict;
insert into policy_head (id, version) values (1, 0);

-- Weakening changes that wait for an administrator's passkey, and what was signed for those that were made.
create table acts (
    id blob primary key,
    content text not null,
    policy_version integer not null,
    proposed_by text not null,
    created_at integer not null,
    expires_at integer not null,
    done_at integer,
    done_by blob references users,
    check ((done_at is null) = (done_by is null))
) strict;

create table act_challenges (
    id blob primary key,
    act_id blob not null references acts,
    admin_id blob not null references users,
    statement text not null,
    ceremony text not null,
    expires_at integer not null,
    used_at integer,
    passkey_id blob references passkeys,
    credential text
) strict;
create index act_challenges_act on act_challenges (act_id);

-- Wrong codes in a row, by person: no new request starts them anew.
create table code_failures (
    user_id blob primary key references users,
    failures integer not null,
    failed_at integer not null
) strict;

alter table approvals add column given text not null default '[]';
alter table approvals add column asked integer not null default 1;
alter table approvals add column holds_until integer;
alter table approvals add column code_sealed blob;
alter table approvals add column code_tries integer not null default 0;
alter table approvals add column decision_verdict text check (decision_verdict in ('approve', 'deny', 'report'));
update approvals set decision_verdict = case state when 'approved' then 'approve' else 'deny' end where decided_by is not null;

-- Until now there was one policy: the requester's own passkey.
update approvals set requirement = json_object(
    'policy', json_extract(requirement, '$.policy'), 'factor', 'passkey', 'requester', json('true'),
    'requester_excluded', json('true'), 'groups', json('[]'), 'window_seconds', (expires_at - created_at) / 1000000,
    'delay_seconds', 0);
-- What was approved does not say by which answers; grants live five minutes and are asked for anew.
update grants set expires_at = issued_at where redeemed_at is null;

-- What waits for whom: gone once it is decided.
create table inbox (
    user_id blob not null references users,
    approval_id blob not null references approvals,
    primary key (user_id, approval_id)
) strict;
create index inbox_approval on inbox (approval_id);
insert into inbox (user_id, approval_id) select requester_id, id from approvals where state = 'pending';
drop index approvals_pending;

create table challenges_next (
    id blob primary key,
    approval_id blob not null references approvals,
    approver_id blob not null references users,
    verdict text not null check (verdict in ('approve', 'deny', 'report')),
    factor text not null check (factor in ('passkey', 'code', 'tap')),
    statement text not null,
    ceremony text,
    expires_at integer not null,
    used_at integer,
    check ((factor = 'passkey') = (ceremony is not null))
) strict;
insert into challenges_next (id, approval_id, approver_id, verdict, factor, statement, ceremony, expires_at, used_at)
    select id, approval_id, approver_id, verdict, 'passkey', statement, ceremony, expires_at, used_at from challenges;

-- credential is the assertion of a passkey, or the JWS of a device key as a JSON text.
create table answers_next (
    challenge_id blob primary key references challenges_next,
    approval_id blob not null references approvals,
    approver_id blob not null references users,
    device_id blob not null references devices,
    passkey_id blob references passkeys,
    verdict text not null check (verdict in ('approve', 'deny', 'report')),
    factor text not null check (factor in ('passkey', 'code', 'tap')),
    reason text,
    statement text not null,
    credential text not null,
    answered_at integer not null,
    constraint answers_once unique (approval_id, approver_id, verdict),
    check ((factor = 'passkey') = (passkey_id is not null))
) strict;
insert into answers_next (challenge_id, approval_id, approver_id, device_id, passkey_id, verdict, factor, reason, statement,
        credential, answered_at)
    select challenge_id, approval_id, approver_id, device_id, passkey_id, verdict, 'passkey', reason, statement, credential,
        answered_at from answers;

drop table answers;
drop table challenges;
alter table challenges_next rename to challenges;
alter table answers_next rename to answers;
create index challenges_approval on challenges (approval_id);
