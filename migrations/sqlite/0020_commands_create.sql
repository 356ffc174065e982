-- What administrators declared that can be said in chat to ask for an action. Those that are built in stand here only where one of their
-- name takes their place.
create table commands (
    name text primary key,
    document text not null,
    changed_at integer not null
) strict;
