-- Tokens of bots that are rotated with an overlap, grants that are bound to a key, and approvals that were opened by break-glass.

-- Which of its tokens the bot's newest is, from 0. The one before it works until previous_token_until, and none before that.
alter table bots add column token_number integer not null default 0;
alter table bots add column previous_token_sha256 blob;
alter table bots add column previous_token_until integer
    check ((previous_token_sha256 is null) = (previous_token_until is null));
create index bots_previous_token on bots (previous_token_sha256);

-- The RFC 7638 thumbprint of the key that the grant is bound to, and the proof it was redeemed with.
alter table approvals add column bound_jkt blob;
alter table grants add column redeem_proof text check (redeem_proof is null or redeemed_at is not null);

-- What was approved by break-glass was decided by nobody who could be named. SQLite changes a check only with the whole table, which
-- others refer to; or like this (its documentation of ALTER TABLE, section 7, the second procedure). The columns above come first,
-- for they change the text of the table too, and make other connections read it again.
alter table approvals add column break_glass text;
pragma writable_schema = on;
update sqlite_schema
    set sql = replace(sql, 'check ((state in (''approved'', ''denied'')) = (decided_by is not null))',
        'check ((state = ''denied'' or (state = ''approved'' and break_glass is null)) = (decided_by is not null))')
    where type = 'table' and name = 'approvals';
pragma writable_schema = reset;
