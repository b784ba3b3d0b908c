//! Keys that exist and must open nothing, or not what their text says.

use std::net::SocketAddr;
use std::time::Duration;

use storepulse_shared::key::{Origin, StoreKey};

use super::place::Place;
use super::session::{Session, quote};
use super::wire::{self, Request};
use crate::wait;

/// Revocation and suspension reach every process within this time (design.md, section 5).
pub(super) const REVOCATION: Duration = Duration::from_secs(5);

/// Keys with something wrong about them.
#[derive(Debug)]
pub(super) struct OddKeys {
    /// The victim's, used and then revoked.
    pub revoked: StoreKey,
    /// The victim's, imported, while its tenant accepts no imported keys.
    pub imported: StoreKey,
    /// Its text names the victim; its row is of `el-prado`.
    pub in_another_tenants_row: StoreKey,
    /// Its text names the victim; its row is of the victim's sibling, so it is the sibling's.
    pub in_the_siblings_row: StoreKey,
    /// The victim's, with its id, and another secret. Nobody has issued it.
    pub with_the_victims_id: StoreKey,
}

/// Makes them, as `storepulse_control`.
pub(super) async fn make(
    control: &mut Session,
    address: SocketAddr,
    victim: &Place,
    sibling: &Place,
    stranger: &Place,
) -> anyhow::Result<OddKeys> {
    let names_the_victim = || StoreKey::issue(&victim.tenant, &victim.store);
    let keys = OddKeys {
        revoked: names_the_victim(),
        imported: format!("store_{}_{}_from-an-older-system", victim.tenant, victim.store).parse()?,
        in_another_tenants_row: names_the_victim(),
        in_the_siblings_row: names_the_victim(),
        with_the_victims_id: with_another_secret(&victim.key)?,
    };
    insert(control, &keys.revoked, victim).await?;
    insert(control, &keys.in_another_tenants_row, stranger).await?;
    insert(control, &keys.in_the_siblings_row, sibling).await?;
    // Once used, so that whoever remembers keys has to forget it.
    let used = wire::send(address, &ask(&keys.revoked)).await?;
    anyhow::ensure!(used.status == 200, "a second key opens nothing: {}", used.text());
    let hash = hex(&keys.revoked);
    control.run(&format!("update store_keys set revoked_at = now() where key_hash = '\\x{hash}'")).await?;
    insert(control, &keys.imported, victim).await?;
    until_refused(address, &keys.revoked, 401).await?;
    Ok(keys)
}

/// Waits until a key gets this status, not longer than a revocation may take.
pub(super) async fn until_refused(address: SocketAddr, key: &StoreKey, status: u16) -> anyhow::Result<()> {
    wait::until("a key to be refused", REVOCATION, async || {
        let answer = wire::send(address, &ask(key)).await?;
        Ok((answer.status == status).then_some(()))
    })
    .await
}

/// The value of `Authorization` for a key.
pub(super) fn bearer(key: &StoreKey) -> String {
    format!("Bearer {}", key.expose())
}

fn ask(key: &StoreKey) -> Request {
    Request::new("GET", "/v1/stores").with("host", "storepulse.example").with("authorization", &bearer(key))
}

/// The same key id, another secret, and the checksum that fits: what somebody can make who has seen a log.
fn with_another_secret(key: &StoreKey) -> anyhow::Result<StoreKey> {
    const CHECK_LEN: usize = 6;
    const SECRET_LEN: usize = 32;
    const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let kept = &key.expose()[..key.expose().len() - CHECK_LEN - SECRET_LEN];
    let mut text = format!("{kept}{}", "0".repeat(SECRET_LEN));
    let mut rest = crc32(text.as_bytes());
    let mut check = String::new();
    for _ in 0..CHECK_LEN {
        check.insert(0, char::from(BASE62[(rest % 62) as usize]));
        rest /= 62;
    }
    text.push_str(&check);
    Ok(text.parse::<StoreKey>()?.require_issued()?)
}

/// CRC-32 (IEEE 802.3), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

async fn insert(control: &mut Session, key: &StoreKey, row_of: &Place) -> anyhow::Result<()> {
    let origin = if key.origin() == Origin::Issued { "issued" } else { "imported" };
    let statement = format!(
        "insert into store_keys (tenant_id, key_hash, store_id, key_id, origin, slot)
        values ({}, '\\x{}', {}, 'oddkey01', '{origin}', 2)",
        quote(row_of.tenant.as_str()),
        hex(key),
        quote(row_of.store.as_str()),
    );
    control.run(&statement).await?;
    Ok(())
}

/// The SHA-256 of a key.
pub(super) fn hex(key: &StoreKey) -> String {
    key.hash().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
