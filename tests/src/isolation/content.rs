//! What every store of the world has sent: the same devices, series and numbers everywhere, other texts and values.
//!
//! It reaches every table that holds a tenant's data; [`super::world`] refuses to begin if it does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use storepulse_cloud::app::now_ms;
use storepulse_shared::batch::{Batch, Column, Event, Frame, Lane, Loss};
use storepulse_shared::ids::{Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use super::place::{Place, number};
use super::session::{Session, quote};
use super::wire::{self, Request};
use super::world::NEWCOMER;
use crate::cluster::TestDb;
use crate::foreign::{self, OTLP_PATH, WRITE_PATH};

/// The device that every store has.
pub(super) const DEVICE: &str = "fridge-1";
/// The series that every store has.
pub(super) const METRIC: &str = "hw.temperature";

const MINUTE_MS: i64 = 60_000;
/// Further ahead than the cloud takes.
const AHEAD_MS: i64 = 120 * MINUTE_MS;

/// A batch with all that a batch can hold, a closed number, a flat body that is remembered, and what foreign protocols
/// bring.
pub(super) async fn send(address: SocketAddr, place: &mut Place) -> anyhow::Result<()> {
    let flat = wire::send(address, &place.post_flat(&place.word, &flat(place))).await?;
    anyhow::ensure!(flat.status == 200, "a flat body of {} was refused: {}", place.name(), flat.text());
    let batch = flat.json()?["batch"].as_str().and_then(|id| id.split('/').next()?.parse::<Epoch>().ok());
    place.flat_epoch = Some(batch.context("a flat body was given no number")?);

    let after = number(place.earlier, 4);
    let first = place.post(number(place.epoch, 1), &batch_of(place, 1), |header| header.after = Some(after));
    let third = place.delete(number(place.epoch, 3));
    let [written, exported] = foreign_requests(place)?;
    for (request, expected) in [(first, 200), (third, 410), (written, 204), (exported, 200)] {
        let answer = wire::send(address, &request).await?;
        anyhow::ensure!(answer.status == expected, "{}: {}", place.name(), answer.text());
    }
    Ok(())
}

/// Another batch: the one before has been compacted, this one stays in the inbox.
pub(super) async fn send_more(address: SocketAddr, place: &Place) -> anyhow::Result<()> {
    let second = place.post(number(place.epoch, 2), &batch_of(place, 2), |_| {});
    let answer = wire::send(address, &second).await?;
    anyhow::ensure!(answer.status == 200, "{}: {}", place.name(), answer.text());
    Ok(())
}

/// What its operator has said of a store and its tenant, in words that give them away.
pub(super) async fn manage(control: &mut Session, place: &Place) -> anyhow::Result<()> {
    let (tenant, store, word) = (quote(place.tenant.as_str()), quote(place.store.as_str()), &place.word);
    let statements = format!(
        r#"insert into tenant_settings (tenant_id, type, name, value)
            values ({tenant}, 'general', 'branding_name', '"{word}"')
            on conflict do nothing;
        insert into store_settings (tenant_id, store_id, name, value)
            values ({tenant}, {store}, 'pos_system', '"{word}"');
        insert into agent_settings (tenant_id, store_id, version, settings, reported_version, reported_state, reported_why, reported_at)
            values ({tenant}, {store}, 3, '{{"devices":{{"{word}":{{"enabled":false}}}}}}', 3, 'refused', '{word}', now());
        insert into audit_entries (tenant_id, actor, action, subject)
            values ({tenant}, 'operator:{word}', 'store.updated', 'store:' || {store})"#
    );
    control.run(&statements).await?;
    Ok(())
}

/// What a takeover has noted of an older system's table; as the superuser, since no request leads there.
pub(super) async fn take_over(admin: &mut Session, place: &Place) -> anyhow::Result<()> {
    let (tenant, store, word) =
        (quote(place.tenant.as_str()), quote(place.store.as_str()), quote(&place.word));
    let statements = format!(
        "insert into takeovers (tenant_id, source, table_name, origin, lower, upper, filenode, next_block, blocks)
            values ({tenant}, {word}, {word}, 9, 3, 9, 1, 1, 1);
        insert into takeover_tallies (tenant_id, source, store, device, metric, reason, rows, total)
            values ({tenant}, {word}, {store}, {word}, {word}, '', 1, {})",
        place.base
    );
    admin.run(&statements).await?;
    Ok(())
}

/// What people have beside, of a user of each tenant that has one; as the superuser, since most of it comes by mail, or from elsewhere.
pub(super) async fn complete_people(db: &TestDb) -> anyhow::Result<()> {
    let of_hosts = [
        (
            "api_tokens (tenant_id, token_id, user_id, token_hash, name, scopes)",
            "tenant_id, gen_random_uuid(), user_id, sha256(user_id::text::bytea), 'canary-' || tenant_id, '{}'",
        ),
        (
            "authenticators (tenant_id, user_id, secret, confirmed_at)",
            "tenant_id, user_id, substr(sha256(user_id::text::bytea), 1, 20), now()",
        ),
        (
            "recovery_codes (tenant_id, user_id, code_hash)",
            "tenant_id, user_id, sha256(user_id::text::bytea)",
        ),
        (
            "password_resets (tenant_id, reset_id, user_id, token_hash, expires_at)",
            "tenant_id, gen_random_uuid(), user_id, sha256(user_id::text::bytea), now() + interval '1 hour'",
        ),
        (
            "user_identities (tenant_id, issuer, subject, user_id)",
            "tenant_id, 'https://login.example', 'canary-' || tenant_id, user_id",
        ),
        ("joined_users (tenant_id, user_id, person_id)", "tenant_id, user_id, gen_random_uuid()"),
    ];
    let mut admin = Session::open(&db.admin).await?;
    for (table, values) in of_hosts {
        admin
            .run(&format!("insert into {table} select {values} from users where user_name = 'host'"))
            .await?;
    }
    admin.close().await?;
    of_tenants(db).await
}

/// What each tenant but the newcomer has of itself, where it is not there.
pub(super) async fn of_tenants(db: &TestDb) -> anyhow::Result<()> {
    let of_tenants = [
        (
            "operator_entries (tenant_id, entry_id, token_hash, operator, credential_id, reason, expires_at)",
            "tenant_id, gen_random_uuid(), sha256(tenant_id::bytea), 'ana', 'oddkey01', 'canary-' || tenant_id, now()",
        ),
        (
            "mails (tenant_id, mail_id, kind, subject_id)",
            "tenant_id, md5(tenant_id)::uuid, 'invitation', md5(tenant_id)::uuid",
        ),
        (
            "mail_templates (tenant_id, kind, language, subject, text)",
            "tenant_id, 'invitation', 'en', 'canary-' || tenant_id, '{link}'",
        ),
        (
            "identity_providers (tenant_id, issuer, client_id, client_secret)",
            "tenant_id, 'https://login.example', 'canary-' || tenant_id, 'canary-' || tenant_id",
        ),
        (
            "provider_visits (tenant_id, state_hash, nonce, verifier, return_to)",
            "tenant_id, sha256(tenant_id::bytea), 'canary-' || tenant_id, 'canary-' || tenant_id, '/'",
        ),
    ];
    let mut admin = Session::open(&db.admin).await?;
    for (table, values) in of_tenants {
        let insert = format!(
            "insert into {table} select {values} from tenants where tenant_id <> {}",
            quote(NEWCOMER)
        );
        admin.run(&format!("{insert} on conflict do nothing")).await?;
    }
    admin.close().await
}

/// One sample by Prometheus remote write and one by OTLP, of series that are named alike in every store.
fn foreign_requests(place: &Place) -> anyhow::Result<[Request; 2]> {
    let (time, value) = (now_ms() - MINUTE_MS, place.base + 0.625);
    Ok([remote_write(time, value)?, otlp(time, value)]
        .map(|request| request.with("host", "storepulse.example").with("authorization", &place.bearer())))
}

/// A request of Prometheus without credentials.
pub(super) fn remote_write(time: i64, value: f64) -> anyhow::Result<Request> {
    let mut request = Request::new("POST", WRITE_PATH)
        .with("content-type", "application/x-protobuf")
        .with("content-encoding", "snappy");
    let labels = [("__name__", METRIC), ("instance", DEVICE)];
    request.body = foreign::snappy(&foreign::series(&labels, &[(time, value)]))?;
    Ok(request)
}

/// A request of an OTLP exporter without credentials.
pub(super) fn otlp(time: i64, value: f64) -> Request {
    let mut request = Request::new("POST", OTLP_PATH).with("content-type", "application/json");
    request.body = foreign::of_till(&foreign::gauge(METRIC, time, &value.to_string())).into_bytes();
    request
}

/// Samples of several series, and one that will be rejected.
pub(super) fn flat(place: &Place) -> String {
    let (word, base, now) = (&place.word, place.base, now_ms());
    let row = |metric: &str, value: f64, time: i64| {
        format!(
            r#"{{"device_id":"{DEVICE}","metric":"{metric}","value":{value},"timestamp":{time},"labels":{{"origin":"{word}"}}}}"#
        )
    };
    let mut rows = vec![
        row(METRIC, base + 0.25, now - MINUTE_MS),
        row("hw.humidity", base + 0.75, now - MINUTE_MS),
        row(METRIC, base + 0.25, now + AHEAD_MS),
    ];
    // Series are numbered per tenant. Were the numbers the same, confusing them would harm nobody here.
    rows.extend((0..place.more_series).map(|n| row(&format!("more.{n}"), base + 0.5, now - MINUTE_MS)));
    format!(r#"{{"metrics":[{}]}}"#, rows.join(","))
}

/// Samples of one series without and one with a label, one sample that will be rejected, an event and a loss; all of it
/// recovered from a number that was closed.
pub(super) fn batch_of(place: &Place, seq: u64) -> Batch<'static> {
    let now = now_ms();
    let times = vec![now - 2 * MINUTE_MS, now - MINUTE_MS, now + AHEAD_MS];
    let values = |part: f64| vec![place.base + part, place.base + part, place.base + part];
    let labelled = format!("{METRIC}{{origin=\"{}\"}}", place.word);
    let columns = vec![
        Column { series: METRIC.into(), values: values(0.125) },
        Column { series: labelled.into(), values: values(0.375) },
    ];
    let event = Event {
        device: DEVICE.into(),
        t: now - MINUTE_MS,
        kind: "fridge.door_open".into(),
        text: format!("the door of {}", place.word).into(),
    };
    Batch {
        frames: vec![Frame { device: DEVICE.into(), kind: "modbus".into(), times, columns }],
        events: vec![event],
        losses: vec![loss(place, LossId { epoch: place.epoch, no: seq }, BTreeMap::new())],
        recovers: Some(number(place.epoch, 3)),
    }
}

/// A loss of this id that closes these numbers.
pub(super) fn loss(place: &Place, id: LossId, seqs: BTreeMap<Epoch, SeqSet>) -> Loss {
    let now = now_ms();
    Loss {
        id,
        lane: Lane::Bulk,
        from: now - 10 * MINUTE_MS,
        to: now - 5 * MINUTE_MS,
        samples: 7,
        events: 0,
        reason: place.word.clone(),
        seqs,
    }
}
