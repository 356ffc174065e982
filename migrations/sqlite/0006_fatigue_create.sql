-- Who was asked for which approval, and whether their phone rang for it. A row outlives its approval: what rang in the last hour and
-- what was denied is counted here, so that it survives restarts.

-- requester_id, action_type and action_target repeat the approval's: with user_id they are what near-identical requests share.
-- folded_into may name an approval that was forgotten meanwhile.
-- user_ring and requester_ring number the rings to one person and those for one requester, without gaps and in the order of rung_at.
create table doorbells (
    approval_id blob not null references approvals,
    user_id blob not null references users,
    requester_id blob not null,
    action_type text not null,
    action_target text not null,
    asked_at integer not null,
    rung_at integer,
    user_ring integer,
    requester_ring integer,
    folded_into blob,
    over_at integer,
    verdict text check (verdict in ('approve', 'deny')),
    primary key (approval_id, user_id),
    check ((rung_at is null) = (user_ring is null) and (rung_at is null) = (requester_ring is null)),
    check (rung_at is null or folded_into is null),
    check (verdict is null or over_at is not null)
) strict;
create index doorbells_waiting on doorbells (user_id) where over_at is null;
create index doorbells_alike on doorbells (user_id, requester_id, action_type, action_target, verdict, over_at);
create index doorbells_of_user on doorbells (user_id, rung_at, user_ring) where rung_at is not null;
create index doorbells_of_requester on doorbells (requester_id, rung_at, requester_ring) where rung_at is not null;

-- Whoever waited in an inbox had been rung.
insert into doorbells (approval_id, user_id, requester_id, action_type, action_target, asked_at, rung_at, user_ring, requester_ring)
    select approvals.id, inbox.user_id, approvals.requester_id, approvals.action ->> 'type', approvals.action ->> 'target',
        approvals.created_at, approvals.created_at,
        row_number() over (partition by inbox.user_id order by approvals.created_at, approvals.id),
        row_number() over (partition by approvals.requester_id order by approvals.created_at, approvals.id, inbox.user_id)
    from inbox join approvals on approvals.id = inbox.approval_id;
drop table inbox;

-- While one is open, nothing is approved that the bot asks for the requester; without a requester, nothing that the bot asks.
-- approval_id may name an approval that was forgotten meanwhile.
create table freezes (
    id blob primary key,
    bot_id blob not null references bots,
    requester_id blob references users,
    approval_id blob not null,
    frozen_by blob not null references users,
    frozen_at integer not null,
    lifted_at integer,
    lifted_by text,
    check ((lifted_at is null) = (lifted_by is null))
) strict;
create index freezes_bot on freezes (bot_id);

alter table approvals add column cancelled_why text check (cancelled_why is null or (cancelled_why = 'frozen' and state = 'cancelled'));
