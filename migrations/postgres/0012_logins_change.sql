-- Devices that ask to be somebody's without a code, and where a device that waits called from.
alter table waiting_devices add column via text not null default 'code' check (via in ('code', 'login'));
alter table waiting_devices add column address text;

-- Requests that enough people have approved and that take effect later: a report stops them too.
create index approvals_held on approvals (bot_id) where state = 'pending' and holds_until is not null;
