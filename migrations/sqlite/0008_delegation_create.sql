-- Who is away, from when to when, and who answers for them meanwhile. A row that is over says who did.
create table absences (
    user_id blob primary key references users,
    from_at integer not null,
    until_at integer not null,
    delegate_id blob references users,
    set_at integer not null,
    check (until_at > from_at),
    check (delegate_id <> user_id)
) strict;
create index absences_until on absences (until_at);

-- What the policies of this version are, and how they came to be that: after a restore a version comes again with other policies.
alter table policy_head add column sha256 text not null default '';
