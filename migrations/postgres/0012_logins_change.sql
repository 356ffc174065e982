-- Devices that ask to be somebody's without a code, and where a device that waits called from.
alter table waiting_devices add column via text not null default 'code' check (via in ('code', 'login'));
alter table waiting_devices add column address text;
