//! Tills' databases: PostgreSQL and MariaDB as Debian ships them, and an SQLite file that Python's module writes. The judges
//! are their own clients, and the till's own account of what it has sold.

mod questions;
mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use serde_json::Value;

use self::questions::{MARIADB_TABLES, POSTGRES_TABLES, SALES, devices};
use self::servers::{Maria, PASSWORD, Postgres};
use super::shop::{Shop, values};
use super::tally::Tally;
use crate::peers::Shown;
use crate::peers::program::{self, Program};

/// Tickets that the till with the SQLite file sells.
const TICKETS: u32 = 500;
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn run(dir: &Path) -> anyhow::Result<Shown> {
    let mut tally = Tally::default();
    let mut postgres = Postgres::start(dir).await?;
    let mut maria = Maria::start(dir).await?;
    postgres.sql(POSTGRES_TABLES)?;
    maria.sql(MARIADB_TABLES)?;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/python");
    program::version(&python, &["--version"])?;

    let till = sells_into_a_file(dir, &python, &mut tally).await?;
    let shop = Shop::open(dir, &devices(&postgres, &maria, dir)).await?;
    figures(&shop, &postgres, &maria, &mut tally).await?;
    refusals(&shop, &postgres, &maria, &mut tally).await?;
    hangs(&shop, &postgres, &mut tally).await?;
    comes_and_goes(&shop, &mut postgres, &mut maria, &mut tally).await?;
    shop.close().await?;
    too_long(dir, &postgres, &maria, &mut tally).await?;
    let version = format!("{} MariaDB {}", postgres.version()?, maria.sql("select version()")?);
    Ok(tally
        .shown(format!("{version} SQLite {till}"), format!("{TICKETS} tickets read while they were sold")))
}

/// A till sells while the file is read; then both accounts are the same, and neither was in the other's way.
async fn sells_into_a_file(dir: &Path, python: &Path, tally: &mut Tally) -> anyhow::Result<String> {
    let (file, account) = (dir.join("till.db"), dir.join("account.json"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/till.py");
    let args = [script.as_os_str(), file.as_os_str(), TICKETS.to_string().as_ref(), account.as_os_str()]
        .map(ToOwned::to_owned);
    let mut till = Program::start(python, &args, &[], &dir.join("till.log"))?;
    let folder = dir.join("selling");
    std::fs::create_dir(&folder)?;
    let devices = format!(
        "  lite:\n    sql: {{ engine: sqlite, path: {}, timezone: UTC, interval: 20ms, jitter: 1ms, queries: [{SALES}] }}\n",
        file.display()
    );
    // From its first ticket on: before there is a table, there is nothing to read.
    crate::wait::until("the first ticket", LIMIT, async || Ok(has_a_ticket(python, &file)?.then_some(())))
        .await?;
    let shop = Shop::open(&folder, &devices).await?;
    let sold = async || Ok(std::fs::read_to_string(&account).ok());
    let account = crate::wait::until("the till to sell", LIMIT, sold).await.with_context(|| till.said())?;
    let account: Value = serde_json::from_str(&account)?;
    let last = values(
        &shop
            .until("lite", "all tickets", |device| {
                value(device, "retail.pos.transactions") == Some(f64::from(TICKETS))
            })
            .await?,
    );
    tally.holds(
        "the sum is that of the till",
        (last["retail.pos.sales"] * 100.0).round() == account["cents"].as_f64().unwrap_or(0.0),
    );
    tally.holds("the age of the last ticket is of now", last["retail.pos.last_transaction.age"] < 5.0);
    tally.same(
        "errors of reading while it was sold",
        shop.device("lite").await?["errors"].clone(),
        serde_json::json!({}),
    );
    tally.holds("the till still runs", till.ended()?.is_none());
    // A till that closes leaves its WAL to nobody; it is not read then, and comes back.
    drop(till);
    shop.until("lite", "closed", |device| {
        device["state"] == "unreachable" || device["errors"] == serde_json::json!({})
    })
    .await?;
    shop.close().await?;
    Ok(account["sqlite"].as_str().unwrap_or_default().to_owned())
}

fn has_a_ticket(python: &Path, file: &Path) -> anyhow::Result<bool> {
    if !file.exists() {
        return Ok(false);
    }
    let ask = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) > 0 from tickets').fetchone()[0])";
    let told = std::process::Command::new(python).args(["-c", ask]).arg(file).output()?;
    Ok(told.stdout == b"1\n")
}

fn value(device: &Value, series: &str) -> Option<f64> {
    device["values"][series]["value"].as_f64()
}

/// What was inserted, and what the servers' own clients say, is what is shown.
async fn figures(shop: &Shop, postgres: &Postgres, maria: &Maria, tally: &mut Tally) -> anyhow::Result<()> {
    for id in ["pg", "my", "pg-lanes", "pg-show", "my-show", "my-lanes", "lite"] {
        shop.until_state(id, "ok").await.with_context(|| id.to_owned())?;
    }
    let kinds =
        |of: &[(&str, f64)]| of.iter().map(|(k, v)| (format!("kind.{k}"), *v)).collect::<BTreeMap<_, _>>();
    let ours = |device: &Value| {
        values(device).into_iter().filter(|(k, _)| k.starts_with("kind.")).collect::<BTreeMap<_, _>>()
    };
    let pg = [
        ("a", -32768.0),
        ("b", 2147483647.0),
        ("c", 9007199254740991.0),
        ("d", 1.25),
        ("e", -2.5),
        ("f", 12345678.9012),
        ("g", -0.0001),
        ("h", 1.0),
    ];
    tally.same("types of PostgreSQL, NULL left out", ours(&shop.device("pg").await?), kinds(&pg));
    let my = [
        ("a", -128.0),
        ("b", 65535.0),
        ("c", -8388608.0),
        ("d", 4294967295.0),
        ("e", -9007199254740991.0),
        ("f", 1.25),
        ("g", -2.5),
        ("h", -12345678.9012),
        ("i", 513.0),
        ("j", 2026.0),
        ("k", 1.0),
    ];
    tally.same("types of MariaDB, NULL left out", ours(&shop.device("my").await?), kinds(&my));
    tally.same("show of PostgreSQL", value(&shop.device("pg-show").await?, "v"), Some(40.0));
    tally.same(
        "show of MariaDB",
        value(&shop.device("my-show").await?, "v"),
        Some(maria.sql("select @@max_connections")?.parse()?),
    );
    sales(shop, "pg", postgres_more, postgres_told, (postgres, maria), tally).await?;
    sales(shop, "my", maria_more, maria_told, (postgres, maria), tally).await?;
    let zoned = value(&shop.device("pg-lanes").await?, "wall.age").unwrap_or(f64::NAN);
    tally.holds(&format!("an offset as zone: {zoned}"), (0.0..30.0).contains(&zoned));
    for id in ["pg-lanes", "my-lanes"] {
        let device = shop.until(id, "its error", |device| !device["errors"]["parse"].is_null()).await?;
        let series: Vec<String> = values(&device).into_keys().filter(|k| k.contains("lane")).collect();
        let expected = ["1", "2"].map(|lane| format!("retail.pos.transactions{{lane=\"{lane}\"}}"));
        tally.same(&format!("{id}: only lanes of the list"), series, expected.to_vec());
    }
    Ok(())
}

type Servers<'a> = (&'a Postgres, &'a Maria);

/// Tickets, sales and ages, before and after more are sold.
async fn sales(
    shop: &Shop,
    id: &str,
    sell: fn(Servers<'_>) -> anyhow::Result<()>,
    told: fn(Servers<'_>) -> anyhow::Result<[f64; 3]>,
    servers: Servers<'_>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for round in 0..2 {
        if round == 1 {
            sell(servers)?;
        }
        let [tickets, sales, before] = told(servers)?;
        let has_them = |device: &Value| value(device, "retail.pos.transactions") == Some(tickets);
        let device = shop.until(id, "its tickets", has_them).await?;
        let [_, _, after] = told(servers)?;
        tally.same(&format!("sales of {id}"), value(&device, "retail.pos.sales"), Some(sales));
        for series in ["retail.pos.last_transaction.age", "wall.age"] {
            let age = value(&device, series).unwrap_or(f64::NAN);
            // What is shown can be an interval old; MariaDB's times are whole seconds.
            let (from, to) = (before - 1.6, after + 1.1);
            tally.holds(
                &format!("{id}: {series} {age}, theirs {before} to {after}"),
                (from..=to).contains(&age),
            );
        }
    }
    Ok(())
}

fn numbers(line: &str) -> anyhow::Result<[f64; 3]> {
    let numbers: Vec<f64> = line.split(['|', '\t']).map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("not three numbers: {line}"))
}

fn postgres_more((postgres, _): Servers<'_>) -> anyhow::Result<()> {
    postgres.sql("insert into tickets (lane, total) values ('1', 19.99), ('2', 0.01)").map(drop)
}

fn maria_more((_, maria): Servers<'_>) -> anyhow::Result<()> {
    maria.sql("insert into pos.tickets (lane, total) values ('1', 19.99), ('2', 0.01)").map(drop)
}

fn postgres_told((postgres, _): Servers<'_>) -> anyhow::Result<[f64; 3]> {
    numbers(&postgres.sql(
        "select count(*), sum(total), extract(epoch from clock_timestamp() - max(sold_at)) from tickets",
    )?)
}

fn maria_told((_, maria): Servers<'_>) -> anyhow::Result<[f64; 3]> {
    numbers(&maria.sql(
        "select count(*), sum(total), timestampdiff(microsecond, max(sold_at), now(6)) / 1e6 from pos.tickets",
    )?)
}

/// What would write is refused by the database, and nothing was written; the rest is refused as what it is.
async fn refusals(shop: &Shop, postgres: &Postgres, maria: &Maria, tally: &mut Tally) -> anyhow::Result<()> {
    for (id, kind, text) in [
        ("pg-next", "exception", "SQLSTATE 25006"),
        ("pg-note", "exception", "SQLSTATE 25006"),
        ("my-note", "exception", "error 1792"),
        ("pg-all", "parse", "not in `metrics`"),
        ("my-all", "parse", "not in `metrics`"),
        ("pg-unzoned", "parse", "`timezone`"),
        ("pg-audit", "denied", "SQLSTATE 42501"),
        ("my-audit", "denied", "error 1142"),
        ("pg-wrong", "denied", "SQLSTATE 28P01"),
        ("my-wrong", "denied", "error 1045"),
        ("pg-untrusted", "tls", "certificate"),
        ("my-untrusted", "tls", "certificate"),
    ] {
        let device = shop.until(id, "its error", |device| !device["last_error"].is_null()).await?;
        tally.same(&format!("{id}: kind"), device["last_error"]["kind"].as_str(), Some(kind));
        let said = device["last_error"]["text"].as_str().unwrap_or_default().to_owned();
        tally.holds(&format!("{id}: {said:?} does not say {text:?}"), said.contains(text));
        tally.same(&format!("{id}: values"), values(&device).len(), 0);
    }
    tally.same(
        "rows written in PostgreSQL",
        postgres.sql("select count(*), (select last_value::text || is_called from numbers) from audit")?,
        "0|1false".to_owned(),
    );
    tally.same("rows written in MariaDB", maria.sql("select count(*) from pos.audit")?, "0".to_owned());
    Ok(())
}

/// A server that hangs is a timeout of its devices, and the others go on.
async fn hangs(shop: &Shop, postgres: &Postgres, tally: &mut Tally) -> anyhow::Result<()> {
    postgres.signal(Signal::SIGSTOP)?;
    let hung = shop.until_state("pg", "unreachable").await;
    let (lite, my) = (shop.device("lite").await?, shop.device("my").await?);
    let more = async |id: &str, before: &Value| {
        let before = before["samples"].as_u64();
        shop.until(id, "more samples", |device| device["samples"].as_u64() > before).await
    };
    let others = (more("lite", &lite).await, more("my", &my).await);
    postgres.signal(Signal::SIGCONT)?;
    tally.same("a server that hangs", hung?["last_error"]["kind"].clone(), "timeout".into());
    tally.holds("the others go on", others.0.is_ok() && others.1.is_ok());
    tally.holds("it is back", shop.until_state("pg", "ok").await.is_ok());
    Ok(())
}

async fn comes_and_goes(
    shop: &Shop,
    postgres: &mut Postgres,
    maria: &mut Maria,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    postgres.down()?;
    maria.down();
    for id in ["pg", "my"] {
        let device = shop.until_state(id, "unreachable").await?;
        tally.same(
            &format!("{id} without its server"),
            device["last_error"]["kind"].clone(),
            "refused".into(),
        );
    }
    postgres.up().await?;
    maria.up().await?;
    for id in ["pg", "my"] {
        tally.holds(&format!("{id} is back"), shop.until_state(id, "ok").await.is_ok());
    }
    Ok(())
}

/// A query that takes too long is ended at the server.
async fn too_long(dir: &Path, postgres: &Postgres, maria: &Maria, tally: &mut Tally) -> anyhow::Result<()> {
    let folder = dir.join("long");
    std::fs::create_dir(&folder)?;
    let block = |id: &str, engine: &str, port: u16, database: &str, sql: &str| {
        format!(
            "  {id}:\n    sql: {{ engine: {engine}, host: 127.0.0.1, port: {port}, database: {database}, user: storepulse, password: {PASSWORD}, tls: disable, interval: 1s, jitter: 1ms, statement_timeout: 300ms, queries: [{{ sql: '{sql}', metrics: {{ n: v }} }}] }}\n"
        )
    };
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as n from n";
    let devices = [
        block("pg", "postgres", postgres.port, "postgres", "select 1 as n from pg_sleep(60)"),
        block("my", "mysql", maria.port, "pos", "select sleep(60) as n"),
        format!(
            "  lite:\n    sql: {{ engine: sqlite, path: {}, interval: 1s, jitter: 1ms, statement_timeout: 300ms, queries: [{{ sql: '{endless}', metrics: {{ n: v }} }}] }}\n",
            dir.join("long.db").display()
        ),
    ];
    std::fs::write(dir.join("long.db"), b"")?;
    let shop = Shop::open(&folder, &devices.concat()).await?;
    for id in ["pg", "my", "lite"] {
        let device = shop.until_state(id, "unreachable").await?;
        tally.same(
            &format!("{id}: a query that takes too long"),
            device["last_error"]["kind"].clone(),
            "timeout".into(),
        );
        let said = device["last_error"]["text"].as_str().unwrap_or_default().to_owned();
        tally.holds(
            &format!("{id}: ended by the database, not by us: {said}"),
            said.contains("ended by the server") || said.contains("interrupted"),
        );
    }
    shop.close().await?;
    let running = async || {
        let pg = postgres.sql("select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()")?;
        let my = maria.sql("select count(*) from information_schema.processlist where info like '%sleep(60)%' and id <> connection_id()")?;
        Ok((pg == "0" && my == "0").then_some(()))
    };
    let gone = crate::wait::until("no statement to run", Duration::from_secs(2), running).await;
    tally.holds("nothing runs at the servers afterwards", gone.is_ok());
    Ok(())
}
