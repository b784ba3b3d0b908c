//! One piece of the old table: read, sorted out, and stored in one transaction with how far the takeover has come.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use storepulse_shared::batch::Batch;
use storepulse_shared::ids::{BatchId, Epoch, StoreId};

use super::rows::{self, Group};
use super::sql::{self, State};
use super::{Progress, Stage, Work};
use crate::app::now_ms;
use crate::audit::Actor;
use crate::ingest::{self, Prepared, Rejection, Window};
use crate::operator::Refusal;
use crate::tenant::stores::{self, NewStore};

/// A batch that is ready, whose it is, and what was refused beside it.
type Ready = (StoreId, Prepared, Vec<Rejection>);

impl<H: FnMut(&Progress) + Send> Work<'_, H> {
    /// Takes the next piece and returns where that leads.
    pub(super) async fn take_piece(&mut self, state: &State) -> anyhow::Result<State> {
        let end = state.next_block.saturating_add(self.how.blocks).min(state.blocks);
        let numbers = state.lower..state.upper;
        let (groups, filenode) = self.source.read(state.origin, numbers, state.next_block..end).await?;
        anyhow::ensure!(
            filenode == state.filenode,
            "{} was written anew in the middle of a pass (VACUUM FULL, CLUSTER, TRUNCATE …) and its rows lie elsewhere: \
             read all once more with --again; what is here stays once",
            self.source.name()
        );
        self.reach(Stage::Read)?;
        let count: i64 = groups.iter().map(|group| group.rows).sum();
        self.make_stores(&groups).await?;
        self.reach(Stage::Stores)?;

        let now = now_ms();
        let window = Window::new(now, self.retention_days, true);
        let (of_stores, mut tallies) = rows::sort_out(groups, &self.stores, window, now);
        let mut all = Vec::new();
        for (store, mut of_store) in of_stores {
            let mut refused = std::mem::take(&mut of_store.refused);
            let mut batches = of_store.take_batches();
            if batches.is_empty() {
                // What was refused is told with a batch, if only with one of no samples.
                batches.push(Batch::default());
            }
            for batch in batches {
                let (how, tenant) = ((self.db, &self.series), &self.request.tenant);
                let ready = ingest::prepare(how, tenant, &store, &batch, window).await?;
                rows::count(&store, &batch, &ready, &mut tallies);
                all.push((store.clone(), ready, std::mem::take(&mut refused)));
            }
        }
        self.reach(Stage::Series)?;

        let next = State { next_block: end, ..*state };
        let mut tx = self.db.tenant(&self.request.tenant).await?;
        self.store(&mut tx, &all).await?;
        sql::add(&mut tx, &self.source.id, &tallies).await?;
        anyhow::ensure!(
            sql::go_on(&mut tx, &self.source.id, state, &next).await?,
            "{}",
            self.somebody_else()
        );
        self.reach(Stage::Stored)?;
        tx.commit().await?;
        self.reach(Stage::Committed)?;
        self.progress.rows += u64::try_from(count).unwrap_or_default();
        Ok(next)
    }

    async fn store(&self, tx: &mut crate::db::TenantTx, all: &[Ready]) -> anyhow::Result<()> {
        let tenant = &self.request.tenant;
        let mut numbers: BTreeMap<&StoreId, BatchId> = BTreeMap::new();
        for (store, ready, refused) in all {
            let batch = match numbers.get(store) {
                Some(last) => BatchId { seq: last.seq + 1, ..*last },
                None => {
                    let epoch = epoch(&self.source.id, tenant.as_str(), store);
                    BatchId { epoch, seq: sql::sealed(tx, store, epoch).await? + 1 }
                }
            };
            numbers.insert(store, batch);
            anyhow::ensure!(
                ingest::store_within(self.db, tx, (tenant, store), batch, ready, refused).await?,
                "the rows of tenant {tenant} became others meanwhile, or another takeover is at work: run it again"
            );
        }
        Ok(())
    }

    /// Makes the stores that the tenant does not have yet, as far as it may have them.
    async fn make_stores(&mut self, groups: &[Group]) -> anyhow::Result<()> {
        let named = rows::stores(groups);
        if named.is_subset(&self.stores) {
            return Ok(());
        }
        let mut tx = self.db.tenant(&self.request.tenant).await?;
        self.stores = sql::stores(&mut tx).await?.iter().filter_map(|id| id.parse().ok()).collect();
        tx.rollback().await?;
        let actor = Actor::command_line();
        for store in named.difference(&self.stores.clone()) {
            let mut control = self.db.control().await?;
            let new = NewStore { store_id: store.clone(), name: None };
            match stores::create(&mut control, &actor, &self.request.tenant, &new).await {
                Ok(_) => {
                    control.commit().await?;
                    self.stores.insert(store.clone());
                }
                // Its rows are refused by name: there is one that differs in case only.
                Err(Refusal::Conflict { code: "store_exists", .. }) => {}
                Err(refusal) => {
                    let then = "then run this again: it goes on here, and nothing was lost";
                    return Err(anyhow::anyhow!(
                        "{} has rows of store {store}: {refusal}; {then}",
                        self.source.name()
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Under which the batches of a takeover are numbered in a store: the same in every run.
pub(super) fn epoch(source: &str, tenant: &str, store: &StoreId) -> Epoch {
    let digest = Sha256::digest(format!("storepulse takeover {source} {tenant} {store}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Epoch::from_uuid(sqlx::types::uuid::Builder::from_random_bytes(bytes).into_uuid())
}
