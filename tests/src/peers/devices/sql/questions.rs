//! What stands in the databases, and what the agent asks them.

use std::path::Path;

use super::servers::{Maria, PASSWORD, Postgres};

pub(super) const POSTGRES_TABLES: &str = "
create table tickets (no serial, lane text, total numeric(12,2), sold_at timestamptz default now(), on_the_wall timestamp default (now() at time zone 'America/Caracas'), pan text default '4111111111111111');
insert into tickets (lane, total, sold_at, on_the_wall) select (n % 3 + 1)::text, n + 0.25, now() - n * interval '10 seconds', (now() - n * interval '10 seconds') at time zone 'America/Caracas' from generate_series(3, 40) n;
create sequence numbers; create table audit (t text);
create function note() returns int language plpgsql security definer as $$ begin insert into audit values ('x'); return 1; end $$;
create table kinds (a int2, b int4, c int8, d float4, e float8, f numeric, g numeric, h bool, i int4);
insert into kinds values (-32768, 2147483647, 9007199254740991, 1.25, -2.5, 12345678.9012, -0.0001, true, null);
grant select on tickets, kinds to storepulse; grant usage, update on sequence numbers to storepulse; revoke execute on function note() from public; grant execute on function note() to storepulse";

pub(super) const MARIADB_TABLES: &str = "
create database pos; use pos;
create table tickets (no int primary key auto_increment, lane varchar(10), total decimal(12,2), sold_at datetime default now(), stamped timestamp default now(), pan varchar(20) default '4111111111111111');
insert into tickets (lane, total, sold_at, stamped) select seq % 3 + 1, seq + 0.25, now() - interval seq * 10 second, now() - interval seq * 10 second from seq_3_to_40;
create table audit (t text);
delimiter //
create function note() returns int modifies sql data begin insert into audit values ('x'); return 1; end //
delimiter ;
create table kinds (a tinyint, b smallint unsigned, c mediumint, d int unsigned, e bigint, f float, g double, h decimal(20,4), i bit(10), j year, k bool, l int);
insert into kinds values (-128, 65535, -8388608, 4294967295, -9007199254740991, 1.25, -2.5, -12345678.9012, b'1000000001', 2026, true, null);
grant select on pos.tickets to storepulse@'127.0.0.1'; grant select on pos.kinds to storepulse@'127.0.0.1'; grant execute on function pos.note to storepulse@'127.0.0.1'";

pub(super) const SALES: &str = "{ sql: 'select count(*) as n, sum(total) as s, max(sold_at) as last from tickets', metrics: { n: retail.pos.transactions, s: retail.pos.sales, last: { metric: retail.pos.last_transaction.age, age: true } } }";
const LANES: &str = "{ sql: 'select lane, count(*) as n from tickets group by lane', label: { column: lane, values: ['1', '2'] }, metrics: { n: retail.pos.transactions } }";
const PACE: &str = "interval: 500ms, timeout: 2s, statement_timeout: 1s, jitter: 1ms";

/// The age of the last ticket by a column without a zone.
fn wall(column: &str) -> String {
    format!(
        "{{ sql: 'select max({column}) as wall from tickets', metrics: {{ wall: {{ metric: wall.age, age: true }} }} }}"
    )
}

/// A column of every type, each a metric of its own.
fn kinds(columns: &str) -> String {
    let metrics: Vec<String> = columns.chars().map(|c| format!("{c}: kind.{c}")).collect();
    let columns: Vec<String> = columns.chars().map(String::from).collect();
    format!("{{ sql: 'select {} from kinds', metrics: {{ {} }} }}", columns.join(", "), metrics.join(", "))
}

fn one(sql: &str, column: &str) -> String {
    format!("{{ sql: \"{sql}\", metrics: {{ {column}: v }} }}")
}

/// What the databases are asked, each device in a block of its own.
pub(super) fn devices(postgres: &Postgres, maria: &Maria, dir: &Path) -> String {
    // TLS: by the authority in this file, with anyone (`require`), or none.
    let server = |engine: &str, password: &str, tls: &str| {
        let (port, database, folder) = match engine {
            "postgres" => (postgres.port, "postgres", "postgres"),
            _ => (maria.port, "pos", "mariadb"),
        };
        let tls = match tls {
            "" => "tls: disable".to_owned(),
            "require" => "tls: require".to_owned(),
            file => format!("ca_file: {}", dir.join(folder).join(file).display()),
        };
        format!(
            "engine: {engine}, host: 127.0.0.1, port: {port}, database: {database}, user: storepulse, password: {password}, {tls}, {PACE}"
        )
    };
    let (pg, my) = ("postgres", "mysql");
    let blocks = [
        (
            "pg",
            server(pg, PASSWORD, "ca.pem") + ", timezone: America/Caracas",
            format!("{SALES}, {}, {}", wall("on_the_wall"), kinds("abcdefghi")),
        ),
        (
            "my",
            server(my, PASSWORD, "ca.pem"),
            format!("{SALES}, {}, {}", wall("stamped"), kinds("abcdefghijkl")),
        ),
        (
            "pg-lanes",
            server(pg, PASSWORD, "require") + ", timezone: -04:00",
            format!("{LANES}, {}", wall("on_the_wall")),
        ),
        ("my-lanes", server(my, PASSWORD, ""), LANES.to_owned()),
        ("pg-show", server(pg, PASSWORD, ""), one("show max_connections", "max_connections")),
        ("my-show", server(my, PASSWORD, ""), one("show global variables like 'max_connections'", "Value")),
        ("pg-next", server(pg, PASSWORD, ""), one("select nextval('numbers') as n", "n")),
        ("pg-note", server(pg, PASSWORD, ""), one("select note() as n", "n")),
        ("my-note", server(my, PASSWORD, ""), one("select note() as n", "n")),
        ("pg-all", server(pg, PASSWORD, ""), one("select * from tickets", "no")),
        ("my-all", server(my, PASSWORD, ""), one("select * from tickets", "no")),
        ("pg-unzoned", server(pg, PASSWORD, ""), wall("on_the_wall")),
        ("pg-audit", server(pg, PASSWORD, ""), one("select count(*) as n from audit", "n")),
        ("my-audit", server(my, PASSWORD, ""), one("select count(*) as n from audit", "n")),
        ("pg-wrong", server(pg, "geraten", ""), one("select 1 as n", "n")),
        ("my-wrong", server(my, "geraten", ""), one("select 1 as n", "n")),
        ("pg-untrusted", server(pg, PASSWORD, "other.pem"), one("select 1 as n", "n")),
        ("my-untrusted", server(my, PASSWORD, "other.pem"), one("select 1 as n", "n")),
        (
            "lite",
            format!("engine: sqlite, path: {}, {PACE}, timezone: UTC", dir.join("till.db").display()),
            SALES.to_owned(),
        ),
    ];
    let block = |(id, settings, queries): &(&str, String, String)| {
        format!("  {id}:\n    sql: {{ {settings}, queries: [{queries}] }}\n")
    };
    blocks.iter().map(block).collect()
}
