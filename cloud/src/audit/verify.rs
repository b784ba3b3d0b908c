//! Proves a chain: numbers without gaps, each entry naming the hash before it, each hash recomputed here, not by the
//! database that wrote it.
//!
//! The canonical form (migration 0012): SHA-256 over the 32 bytes of the hash before (none in the first entry), then number,
//! microseconds since 1970, actor, action, subject and detail as text, each preceded by its length in bytes and a colon. A
//! chain that was cut off at its end is whole by itself: [`Verdict::head`] is to be kept elsewhere and compared.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::read::{Chain, hex, rows};
use super::sql::EntryRow;
use crate::db::Db;

/// Entries that are read at once.
const PAGE: i64 = 1_000;

/// What became of a chain.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// `tenant:<id>` or `operators`.
    pub chain: String,
    /// How many entries hold.
    pub entries: i64,
    /// The hash of the last one that holds.
    pub head: String,
    /// The first thing that is wrong; what comes after it proves nothing.
    pub fault: Option<String>,
}

/// Reads a chain through.
pub(crate) async fn verify(db: &Db, chain: Chain<'_>) -> Result<Verdict, sqlx::Error> {
    let name = match chain {
        Chain::Tenant(tenant) => format!("tenant:{tenant}"),
        Chain::Operators => "operators".to_owned(),
    };
    let (mut no, mut head) = (0, Vec::new());
    let mut tx = db.control().await?;
    let fault = loop {
        let page = rows(&mut tx, chain, no, PAGE).await?;
        if page.is_empty() {
            break None;
        }
        let Some(fault) = page.iter().find_map(|row| {
            let fault = fault(no, &head, row);
            if fault.is_none() {
                (no, head) = (row.no, row.hash.clone());
            }
            fault
        }) else {
            continue;
        };
        break Some(fault);
    };
    Ok(Verdict { chain: name, entries: no, head: hex(&head), fault })
}

/// Every tenant's chain, then that of the operators.
pub(crate) async fn verify_all(db: &Db) -> anyhow::Result<Vec<Verdict>> {
    let mut tx = db.control().await?;
    let tenants = super::sql::tenants(&mut tx).await?;
    drop(tx);
    let mut verdicts = Vec::with_capacity(tenants.len() + 1);
    for tenant in tenants {
        verdicts.push(verify(db, Chain::Tenant(&tenant.parse()?)).await?);
    }
    verdicts.push(verify(db, Chain::Operators).await?);
    Ok(verdicts)
}

/// What is wrong with an entry that follows these.
fn fault(no: i64, head: &[u8], row: &EntryRow) -> Option<String> {
    if row.no != no + 1 {
        return Some(format!("entry {} is missing: after {no} comes {}", no + 1, row.no));
    }
    if row.previous != head {
        return Some(format!("entry {} does not follow the one before it", row.no));
    }
    (hash(row)[..] != row.hash).then(|| format!("entry {} is not what was written: its hash differs", row.no))
}

fn hash(row: &EntryRow) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(&row.previous);
    let (no, at_us) = (row.no.to_string(), row.at_us.to_string());
    for field in [&no, &at_us, &row.actor, &row.action, &row.subject, &row.detail] {
        sha.update(format!("{}:", field.len()));
        sha.update(field);
    }
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(no: i64, previous: &[u8], detail: &str) -> EntryRow {
        let mut row = EntryRow {
            no,
            at: time::OffsetDateTime::UNIX_EPOCH,
            at_us: 1_763_721_000_123_456,
            actor: "operator:ana/k3yId008".into(),
            action: "tenant.suspended".into(),
            subject: "tenant:la-villa".into(),
            detail: detail.into(),
            previous: previous.to_vec(),
            hash: Vec::new(),
        };
        row.hash = hash(&row).to_vec();
        row
    }

    #[test]
    fn a_field_that_moves_into_its_neighbour_is_another_entry() {
        let (mut a, mut b) = (row(1, &[], "{}"), row(1, &[], "{}"));
        (a.actor, a.action) = ("ab".into(), "c".into());
        (b.actor, b.action) = ("a".into(), "bc".into());
        assert_ne!(hash(&a), hash(&b));
    }

    #[test]
    fn gaps_strangers_and_changes_are_faults() {
        let first = row(1, &[], "{}");
        let second = row(2, &first.hash, r#"{"to": "active"}"#);
        assert_eq!(fault(0, &[], &first), None);
        assert_eq!(fault(1, &first.hash, &second), None);
        assert!(fault(0, &[], &second).unwrap().contains("missing"));
        assert!(fault(1, &[7; 32], &second).unwrap().contains("does not follow"));
        let changed = EntryRow { detail: r#"{"to": "inactive"}"#.into(), ..second };
        assert!(fault(1, &first.hash, &changed).unwrap().contains("differs"));
    }
}
