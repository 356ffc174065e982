-- What bots said in chat about requests and incidents, and where: whoever follows those is told there.
-- asked: the message that asked for it, and line what that said; success: what is said there once it is allowed.
-- message: the bot's own message, once its front told which it is.
create table chat_messages (
    id uuid primary key,
    bot_id uuid not null references bots,
    platform text not null,
    workspace text not null,
    room text not null,
    thread text,
    subject_kind text not null check (subject_kind in ('approval', 'incident')),
    subject_id uuid not null,
    asked text,
    line text,
    success text,
    message text,
    said_at bigint not null
);
create index chat_messages_subject on chat_messages (subject_id, bot_id);
create index chat_messages_room on chat_messages (bot_id, platform, workspace, room, said_at);
create index chat_messages_asked on chat_messages (bot_id, platform, workspace, room, asked) where asked is not null;

-- What holds in a room: team and service are meant where a line names none; only_labels: nothing else is posted there unasked.
create table chat_rooms (
    bot_id uuid not null references bots,
    platform text not null,
    workspace text not null,
    room text not null,
    team_id uuid references teams,
    service_id uuid references services,
    only_labels jsonb not null,
    changed_at bigint not null,
    primary key (bot_id, platform, workspace, room)
);

-- What a room hears of unasked.
create table chat_subscriptions (
    id uuid primary key,
    bot_id uuid not null references bots,
    platform text not null,
    workspace text not null,
    room text not null,
    subject_kind text not null check (subject_kind in ('approval', 'incident')),
    team_id uuid references teams,
    service_id uuid references services,
    urgency text check (urgency in ('high', 'low')),
    labels jsonb not null,
    made_by jsonb not null,
    created_at bigint not null
);
create index chat_subscriptions_bot on chat_subscriptions (bot_id);

-- What a bot may ask to have approved, for whom, and in which rooms; a bot that is not here may ask for everything.
create table bot_limits (
    bot_id uuid primary key references bots,
    limits jsonb not null,
    changed_at bigint not null
);

-- A request by its tag.
create index approvals_tag on approvals (bot_id, tag, id);
