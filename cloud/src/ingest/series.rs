//! The ids of series: looked up in memory, created in a transaction of their own before the data that needs them.
//!
//! A store's series are loaded whole on first contact and remembered after their transaction has committed. They are believed
//! for the generation of rows that they were read in ([`Db::generation`]): an id must never outlive the database that gave it,
//! nor the life of a tenant that was erased and restored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use storepulse_shared::batch::Batch;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::limits::{DEVICE_SERIES_MAX, STORE_SERIES_MAX};
use storepulse_shared::{catalogue, series as names};

use super::sql;
use crate::db::Db;

/// Series remembered at most, over all stores; beyond it the stores that were quiet longest are forgotten.
const SERIES_MAX: usize = 2_000_000;
/// How long they are believed: upkeep removes a series two days after it was retired, and nobody may remember its id then.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);

type Store = (TenantId, StoreId);

/// A series that is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewSeries {
    pub device: String,
    pub kind: String,
    pub name: String,
    pub metric: String,
    pub labels: serde_json::Value,
    pub unit: Option<&'static str>,
}

/// The series of one store: by device, by name.
#[derive(Debug, Default, Clone)]
pub(super) struct StoreSeries {
    devices: HashMap<String, HashMap<String, i32>>,
    count: usize,
}

impl StoreSeries {
    pub(super) fn insert(&mut self, device: String, name: String, id: i32) {
        if self.devices.entry(device).or_default().insert(name, id).is_none() {
            self.count += 1;
        }
    }

    /// One id per frame and column, and the series that still have to be made. A series beyond a limit has neither.
    fn resolve(&self, batch: &Batch<'_>) -> (Vec<Vec<Option<i32>>>, Vec<NewSeries>) {
        let mut missing: Vec<NewSeries> = Vec::new();
        let mut fresh: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut ids = Vec::with_capacity(batch.frames.len());
        for frame in &batch.frames {
            let device: &str = &frame.device;
            let known = self.devices.get(device);
            let mut of_frame = Vec::with_capacity(frame.columns.len());
            for column in &frame.columns {
                let name: &str = &column.series;
                let id = known.and_then(|series| series.get(name)).copied();
                of_frame.push(id);
                if id.is_some() {
                    continue;
                }
                let of_device = fresh.entry(device).or_default();
                let has_place = known.map_or(0, HashMap::len) + of_device.len() < DEVICE_SERIES_MAX
                    && self.count + missing.len() < STORE_SERIES_MAX;
                if has_place && !of_device.contains(&name) {
                    of_device.push(name);
                    missing.extend(describe(device, &frame.kind, name));
                }
            }
            ids.push(of_frame);
        }
        // Sorted, so that two batches that make the same series do not wait for each other in a circle.
        missing.sort_unstable_by(|a, b| (&a.device, &a.name).cmp(&(&b.device, &b.name)));
        (ids, missing)
    }
}

/// `None` only for a name that would not have passed the decoder.
fn describe(device: &str, kind: &str, name: &str) -> Option<NewSeries> {
    let parsed = names::parse(name).ok()?;
    let labels = parsed.labels.iter().map(|(k, v)| ((*k).to_owned(), v.clone().into_owned().into()));
    Some(NewSeries {
        device: device.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        metric: parsed.metric.to_owned(),
        labels: serde_json::Value::Object(labels.collect()),
        unit: catalogue::find(parsed.metric).map(|m| m.unit),
    })
}

/// What is remembered of all stores.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    inner: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    stores: HashMap<Store, Loaded>,
    series: usize,
    clock: u64,
}

/// The series of a store, as they were when they were loaded.
#[derive(Debug)]
struct Loaded {
    /// When they were last asked for, by the count of questions.
    used: u64,
    at: Instant,
    /// Of the rows that they were read from.
    generation: u64,
    series: Arc<StoreSeries>,
}

impl SeriesCache {
    /// One id per frame and column of the batch, `None` where a series is beyond the limit of its device or store; or
    /// `None` for all if some have to be looked up or made first. They are ids of rows of this `generation`.
    pub(super) fn known(
        &self,
        generation: u64,
        tenant: &TenantId,
        store: &StoreId,
        batch: &Batch<'_>,
    ) -> Option<Vec<Vec<Option<i32>>>> {
        if batch.frames.is_empty() {
            return Some(Vec::new());
        }
        let known = self.get(&(tenant.clone(), store.clone()), generation)?;
        let (ids, missing) = known.resolve(batch);
        missing.is_empty().then_some(ids)
    }

    /// Makes the series of the batch that are not there yet, and remembers all of the store.
    pub(super) async fn create(
        &self,
        db: &Db,
        tenant: &TenantId,
        store: &StoreId,
        batch: &Batch<'_>,
    ) -> Result<(), sqlx::Error> {
        let mut tx = db.tenant(tenant).await?;
        let generation = db.generation(tenant);
        let mut known = sql::series::of_store(&mut tx, store).await?;
        let (_, missing) = known.resolve(batch);
        if !missing.is_empty() {
            sql::series::create(&mut tx, store, &missing).await?;
            known = sql::series::of_store(&mut tx, store).await?;
        }
        tx.commit().await?;
        self.put((tenant.clone(), store.clone()), generation, known);
        Ok(())
    }

    fn get(&self, key: &Store, generation: u64) -> Option<Arc<StoreSeries>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        let loaded = inner.stores.get_mut(key)?;
        loaded.used = now;
        let is_believed = loaded.generation == generation && loaded.at.elapsed() < BELIEVED;
        is_believed.then(|| Arc::clone(&loaded.series))
    }

    fn put(&self, key: Store, generation: u64, series: StoreSeries) {
        let mut inner = self.lock();
        inner.clock += 1;
        let loaded = Loaded { used: inner.clock, at: Instant::now(), generation, series: Arc::new(series) };
        inner.series += loaded.series.count;
        if let Some(old) = inner.stores.insert(key, loaded) {
            inner.series -= old.series.count;
        }
        if inner.series > SERIES_MAX {
            inner.forget_the_quiet_half();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        // What a panic could leave half done is a count that is too high, which only forgets earlier.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn forget_the_quiet_half(&mut self) {
        let mut used: Vec<u64> = self.stores.values().map(|loaded| loaded.used).collect();
        used.sort_unstable();
        let middle = used.get(used.len() / 2).copied().unwrap_or_default();
        self.stores.retain(|_, loaded| loaded.used > middle);
        self.series = self.stores.values().map(|loaded| loaded.series.count).sum();
    }
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::{Column, Frame};

    use super::*;

    fn batch(device: &str, names: &[String]) -> Batch<'static> {
        let columns = names.iter().map(|n| Column { series: n.clone().into(), values: vec![1.0] }).collect();
        let frame = Frame { device: device.to_owned().into(), kind: "host".into(), times: vec![1], columns };
        Batch { frames: vec![frame], ..Batch::default() }
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("m{i:04}")).collect()
    }

    #[test]
    fn known_series_have_ids_and_new_ones_are_described_once() {
        let mut known = StoreSeries::default();
        known.insert("d".into(), "hw.temperature".into(), 5);
        let mut batch = batch("d", &["hw.temperature".into(), "hw.voltage".into()]);
        batch.frames.push(batch.frames[0].clone());
        let (ids, missing) = known.resolve(&batch);
        assert_eq!(ids, [[Some(5), None], [Some(5), None]]);
        assert_eq!(missing.len(), 1);
        assert_eq!((missing[0].name.as_str(), missing[0].unit), ("hw.voltage", Some("V")));
    }

    #[test]
    fn a_device_and_a_store_have_only_so_many_series() {
        let mut known = StoreSeries::default();
        let (_, missing) = known.resolve(&batch("d", &names(DEVICE_SERIES_MAX + 50)));
        assert_eq!(missing.len(), DEVICE_SERIES_MAX);
        for n in 0..STORE_SERIES_MAX - 3 {
            known.insert(format!("d{}", n / 100), format!("m{n}"), 1);
        }
        let (_, missing) = known.resolve(&batch("fresh", &names(10)));
        assert_eq!(missing.len(), 3);
    }
}
