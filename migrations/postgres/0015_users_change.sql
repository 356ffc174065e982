-- Where a person reads e-mail: the channel of last resort. Nothing once they have left.
alter table users add column email text;
