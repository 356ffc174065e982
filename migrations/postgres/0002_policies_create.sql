-- Teams and policies, and what approvals need for several approvers and for factors beside the passkey.

create table teams (
    id uuid primary key,
    name text not null unique,
    created_at bigint not null
);

create table team_members (
    team_id uuid not null references teams,
    user_id uuid not null references users,
    added_at bigint not null,
    primary key (team_id, user_id)
);
create index team_members_user on team_members (user_id);

-- Every change is a row with a version of its own; a policy without a document was taken away.
create table policies (
    version bigint primary key,
    name text not null,
    document jsonb,
    changed_at bigint not null
);
create index policies_name on policies (name, version);

-- The version of all policies together. Whoever changes one locks it.
create table policy_head (
    id bigint primary key check (id = 1),
    version bigint not null
);
insert into policy_head (id, version) values (1, 0);

-- Weakening changes that wait for an administrator's passkey, and what was signed for those that were made.
create table acts (
    id uuid primary key,
    content jsonb not null,
    policy_version bigint not null,
    proposed_by jsonb not null,
    created_at bigint not null,
    expires_at bigint not null,
    done_at bigint,
    done_by uuid references users,
    check ((done_at is null) = (done_by is null))
);

create table act_challenges (
    id uuid primary key,
    act_id uuid not null references acts,
    admin_id uuid not null references users,
    statement text not null,
    ceremony jsonb not null,
    expires_at bigint not null,
    used_at bigint,
    passkey_id uuid references passkeys,
    credential jsonb
);
create index act_challenges_act on act_challenges (act_id);

-- Wrong codes in a row, by person: no new request starts them anew.
create table code_failures (
    user_id uuid primary key references users,
    failures bigint not null,
    failed_at bigint not null
);

alter table approvals add column given jsonb not null default '[]';
alter table approvals add column asked bigint not null default 1;
alter table approvals add column holds_until bigint;
alter table approvals add column code_sealed bytea;
alter table approvals add column code_tries bigint not null default 0;
alter table approvals add column decision_verdict text check (decision_verdict in ('approve', 'deny', 'report'));
update approvals set decision_verdict = case state when 'approved' then 'approve' else 'deny' end where decided_by is not null;

-- Until now there was one policy: the requester's own passkey.
update approvals set requirement = jsonb_build_object(
    'policy', requirement -> 'policy', 'factor', 'passkey', 'requester', true, 'requester_excluded', true, 'groups', '[]'::jsonb,
    'window_seconds', (expires_at - created_at) / 1000000, 'delay_seconds', 0);
-- What was approved does not say by which answers; grants live five minutes and are asked for anew.
update grants set expires_at = issued_at where redeemed_at is null;

-- What waits for whom: gone once it is decided.
create table inbox (
    user_id uuid not null references users,
    approval_id uuid not null references approvals,
    primary key (user_id, approval_id)
);
create index inbox_approval on inbox (approval_id);
insert into inbox (user_id, approval_id) select requester_id, id from approvals where state = 'pending';
drop index approvals_pending;

alter table challenges drop constraint challenges_verdict_check;
alter table challenges add constraint challenges_verdict_check check (verdict in ('approve', 'deny', 'report'));
alter table challenges add column factor text not null default 'passkey' check (factor in ('passkey', 'code', 'tap'));
alter table challenges alter column factor drop default;
alter table challenges alter column ceremony drop not null;
alter table challenges add check ((factor = 'passkey') = (ceremony is not null));

-- credential is the assertion of a passkey, or the JWS of a device key as a JSON text.
alter table answers drop constraint answers_verdict_check;
alter table answers add constraint answers_verdict_check check (verdict in ('approve', 'deny', 'report'));
alter table answers add column factor text not null default 'passkey' check (factor in ('passkey', 'code', 'tap'));
alter table answers alter column factor drop default;
alter table answers alter column passkey_id drop not null;
alter table answers drop constraint answers_once;
alter table answers add constraint answers_once unique (approval_id, approver_id, verdict);
alter table answers add check ((factor = 'passkey') = (passkey_id is not null));
