-- Tokens of bots that are rotated with an overlap, grants that are bound to a key, and approvals that were opened by break-glass.

-- Which of its tokens the bot's newest is, from 0. The one before it works until previous_token_until, and none before that.
alter table bots add column token_number bigint not null default 0;
alter table bots add column previous_token_sha256 bytea;
alter table bots add column previous_token_until bigint
    check ((previous_token_sha256 is null) = (previous_token_until is null));
create index bots_previous_token on bots (previous_token_sha256);

-- The RFC 7638 thumbprint of the key that the grant is bound to, and the proof it was redeemed with.
alter table approvals add column bound_jkt bytea;
alter table grants add column redeem_proof text check (redeem_proof is null or redeemed_at is not null);

-- What was approved by break-glass was decided by nobody who could be named.
alter table approvals add column break_glass jsonb;
alter table approvals drop constraint approvals_check1;
alter table approvals add check
    ((state = 'denied' or (state = 'approved' and break_glass is null)) = (decided_by is not null));
