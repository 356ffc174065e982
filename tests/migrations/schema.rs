//! The schema of a database as both engines can be asked for it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// Tables by name.
pub(crate) type Schema = BTreeMap<String, Table>;

/// A list of columns.
type Columns = Vec<String>;

/// What of a table must be the same on both engines.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// By name: the family of its type, and whether it may be NULL.
    pub(crate) columns: BTreeMap<String, (&'static str, bool)>,
    /// The primary key and every unique constraint.
    unique: BTreeSet<Columns>,
    /// Columns, the table they refer to, its columns.
    foreign_keys: BTreeSet<(Columns, String, Columns)>,
    /// How many checks there are, and every literal in them, which names the values that are allowed.
    checks: (usize, Vec<String>),
    /// Constraints that were given a name.
    named: BTreeSet<String>,
    /// Indexes that are no constraint.
    indexes: BTreeSet<String>,
}

/// Fails with every difference at once, table by table.
pub(crate) fn assert_same(lite: &Schema, pg: &Schema) {
    assert!(lite.len() > 10, "too few tables were found: {:?}", lite.keys());
    assert_eq!(lite.keys().collect::<Vec<_>>(), pg.keys().collect::<Vec<_>>(), "the tables differ");
    let differ = lite.iter().filter(|(name, table)| pg[*name] != **table);
    let report: Vec<_> = differ.map(|(name, table)| format!("{name}\nSQLite     {table:?}\nPostgreSQL {:?}", pg[name])).collect();
    assert!(report.is_empty(), "{}", report.join("\n\n"));
}

/// What `'…'` literals a check holds, sorted.
fn literals(checks: &str) -> Vec<String> {
    let mut found: Vec<_> = checks.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    found.sort();
    found
}

// --- SQLite -----------------------------------------------------------------------------------------------------------------

/// The schema of a SQLite database.
pub(crate) fn of_lite(connection: &Connection) -> Schema {
    let tables = texts(connection, "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'", "");
    tables.into_iter().map(|name| (name.clone(), lite_table(connection, &name))).collect()
}

/// The first column of `sql` as texts; `?1` is `parameter`.
fn texts(connection: &Connection, sql: &str, parameter: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("the catalogue answers");
    let wanted = statement.parameter_count();
    let rows = statement.query_map(&[&parameter as &dyn rusqlite::ToSql][..wanted], |row| row.get(0));
    rows.and_then(Iterator::collect).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn lite_table(connection: &Connection, name: &str) -> Table {
    let sql = texts(connection, "select sql from sqlite_master where type = 'table' and name = ?1", name).concat();
    let primary_key = texts(connection, "select name from pragma_table_info(?1) where pk > 0 order by pk", name);
    let mut table = Table {
        columns: lite_columns(connection, name),
        unique: BTreeSet::from([primary_key]),
        foreign_keys: lite_foreign_keys(connection, name),
        checks: lite_checks(&sql),
        named: sql.split("constraint ").skip(1).filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect(),
        indexes: texts(connection, "select name from pragma_index_list(?1) where origin = 'c'", name).into_iter().collect(),
    };
    for index in texts(connection, "select name from pragma_index_list(?1) where origin <> 'c' and \"unique\"", name) {
        table.unique.insert(texts(connection, "select name from pragma_index_info(?1) order by seqno", &index));
    }
    table
}

fn lite_columns(connection: &Connection, table: &str) -> BTreeMap<String, (&'static str, bool)> {
    let sql = "select name || ' ' || lower(type) || ' ' || (\"notnull\" = 0 and pk = 0) from pragma_table_xinfo(?1)";
    let column = |text: String| {
        let [name, kind, nullable] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{table}: {text}") };
        let family = match kind {
            "integer" | "bigint" => "integer",
            "text" => "text",
            "blob" => "bytes",
            other => panic!("{table}.{name}: {other} has no counterpart"),
        };
        (name.to_owned(), (family, nullable == "1"))
    };
    texts(connection, sql, table).into_iter().map(column).collect()
}

fn lite_foreign_keys(connection: &Connection, table: &str) -> BTreeSet<(Columns, String, Columns)> {
    let column = |id: &str, name: &str| {
        let sql = format!("select coalesce({name}, '') from pragma_foreign_key_list(?1) where id = {id} order by seq");
        texts(connection, &sql, table)
    };
    let ids = texts(connection, "select distinct cast(id as text) from pragma_foreign_key_list(?1)", table);
    let key = |id: String| {
        let target = column(&id, "\"table\"").remove(0);
        let mut to = column(&id, "\"to\"");
        if to.iter().all(String::is_empty) {
            // `references users` without columns: its primary key.
            to = texts(connection, "select name from pragma_table_info(?1) where pk > 0 order by pk", &target);
        }
        (column(&id, "\"from\""), target, to)
    };
    ids.into_iter().map(key).collect()
}

fn lite_checks(sql: &str) -> (usize, Vec<String>) {
    let checks: Vec<_> = sql.split("check (").skip(1).map(to_closing).collect();
    (checks.len(), literals(&checks.concat()))
}

/// `text` up to the parenthesis that closes one opened before it.
fn to_closing(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("{text} is never closed")
}

// --- PostgreSQL -------------------------------------------------------------------------------------------------------------

/// The schema of a PostgreSQL database.
pub(crate) async fn of_pg(connection: &mut PgConnection) -> Schema {
    let mut schema = Schema::new();
    let columns = "select c.relname::text, a.attname::text, format_type(a.atttypid, null), not a.attnotnull
                   from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                   where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'";
    for row in rows(connection, columns).await {
        let (table, name, kind, nullable): (String, String, String, bool) = (row.get(0), row.get(1), row.get(2), row.get(3));
        let family = match kind.as_str() {
            "bigint" => "integer",
            "text" | "jsonb" => "text",
            "uuid" | "bytea" => "bytes",
            other => panic!("{table}.{name}: {other} has no counterpart"),
        };
        schema.entry(table).or_default().columns.insert(name, (family, nullable));
    }
    pg_constraints(connection, &mut schema).await;
    let indexes = "select t.relname::text, i.relname::text from pg_index x
                   join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
                   where t.relnamespace = 'public'::regnamespace
                     and not exists (select 1 from pg_constraint k where k.conindid = x.indexrelid)";
    for row in rows(connection, indexes).await {
        schema.get_mut(&row.get::<String, _>(0)).expect("a table").indexes.insert(row.get(1));
    }
    schema
}

async fn rows(connection: &mut PgConnection, sql: &str) -> Vec<sqlx::postgres::PgRow> {
    sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn pg_constraints(connection: &mut PgConnection, schema: &mut Schema) {
    let names = |key, table| {
        format!(
            "array(select a.attname::text from unnest(k.{key}) with ordinality as u (num, at)
             join pg_attribute a on a.attrelid = k.{table} and a.attnum = u.num order by u.at)"
        )
    };
    let constraints = format!(
        "select t.relname::text, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid), f.relname::text, {}, {}
         from pg_constraint k join pg_class t on t.oid = k.conrelid left join pg_class f on f.oid = k.confrelid
         where k.connamespace = 'public'::regnamespace",
        names("conkey", "conrelid"),
        names("confkey", "confrelid"),
    );
    for row in rows(connection, &constraints).await {
        let (name, name_of_table): (String, String) = (row.get(1), row.get(0));
        let table = schema.get_mut(&name_of_table).expect("a table");
        let columns: Columns = row.get(5);
        let suffix = match row.get::<String, _>(2).as_str() {
            "p" => {
                table.unique.insert(columns.clone());
                "pkey"
            }
            "u" => {
                table.unique.insert(columns.clone());
                "key"
            }
            "f" => {
                table.foreign_keys.insert((columns.clone(), row.get(4), row.get(6)));
                "fkey"
            }
            "c" => {
                table.checks.0 += 1;
                table.checks.1.extend(literals(&row.get::<String, _>(3)));
                table.checks.1.sort();
                "check"
            }
            other => panic!("{name}: SQLite has no constraint of the kind {other}"),
        };
        if !is_automatic(&name, &name_of_table, suffix) {
            table.named.insert(name);
        }
    }
}

/// Whether PostgreSQL would have chosen this name by itself: `table_columns_suffix`, perhaps with a number.
fn is_automatic(name: &str, table: &str, suffix: &str) -> bool {
    name.starts_with(table) && name.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(&format!("_{suffix}"))
}
