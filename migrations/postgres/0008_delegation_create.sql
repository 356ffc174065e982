-- Who is away, from when to when, and who answers for them meanwhile. A row that is over says who did.
create table absences (
    user_id uuid primary key references users,
    from_at bigint not null,
    until_at bigint not null,
    delegate_id uuid references users,
    set_at bigint not null,
    check (until_at > from_at),
    check (delegate_id <> user_id)
);
create index absences_until on absences (until_at);

-- What the policies of this version are, and how they came to be that: after a restore a version comes again with other policies.
alter table policy_head add column sha256 text not null default '';
