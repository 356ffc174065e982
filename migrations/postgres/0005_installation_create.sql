-- What this installation is bound to, and a changed setting would break without a word.
create table installation (
    name text primary key,
    value text not null
);
