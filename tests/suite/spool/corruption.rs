//! Damage on disk: collection goes on, what can be read is delivered, the rest is told.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use storepulse_agent::spool::{self, FILE};
use storepulse_shared::batch::Loss;
use tokio_util::sync::CancellationToken;

use super::*;

impl Bench {
    /// Copies the folder as a killed process leaves it, and opens the copy.
    pub(super) async fn killed(&self, damage: impl FnOnce(&Path)) -> Self {
        let dir = folder().await;
        for file in fs::read_dir(&self.dir).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
        damage(&dir);
        let mut other = Self { dir, spool: None };
        other.reopen(LIMITS);
        other
    }

    /// Waits until what was set aside is salvaged.
    pub(super) async fn salvage(&self) {
        // A call after the one that met the damage waits until it is set aside.
        self.status().await;
        self.run_salvage_until(|| self.is_all_told()).await;
    }

    /// Waits until the cloud is known to have all of what was set aside.
    async fn finish_salvage(&self) {
        self.run_salvage_until(|| self.waiting().is_empty()).await;
    }

    /// Zeroes a page of the closed database, opens it, and waits until that is noticed, if it can be, and salvaged.
    pub(super) async fn survive_a_zeroed_page(&mut self, page: u64) {
        self.close();
        let path = self.dir.join(FILE);
        let pages = fs::metadata(&path).unwrap().len() / 4_096;
        overwrite(&path, page % pages * 4_096, &[0; 4_096]);
        self.reopen(LIMITS);
        let asides = self.asides().len();
        let is_sound = check(&path) == "ok";
        self.run_salvage_until(|| (is_sound || self.asides().len() > asides) && self.is_all_told()).await;
    }

    async fn run_salvage_until(&self, is_done: impl Fn() -> bool) {
        let stop = CancellationToken::new();
        let salvage = spool::salvage(self.spool().clone(), self.dir.clone(), stop.clone());
        let done = async {
            while !is_done() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(salvage, done) };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("a salvage that ends");
    }

    /// Numbers of the files that the cloud does not have all of.
    fn waiting(&self) -> Vec<i64> {
        let asides = self.asides();
        let numbers =
            asides.iter().filter_map(|name| name.strip_prefix("spool-damaged-")?.strip_suffix(".db"));
        numbers.map(|number| number.parse().unwrap()).collect()
    }

    fn is_all_told(&self) -> bool {
        let is_told = |file| {
            look(&self.dir.join(FILE))?.prepare("select 1 from salvaged where file = ?1")?.exists([file])
        };
        // It may be replaced at this moment.
        self.waiting().iter().all(|file| is_told(file).unwrap_or(false))
    }

    fn asides(&self) -> Vec<String> {
        let files = fs::read_dir(&self.dir).unwrap().map(|f| name(&f.unwrap()));
        let mut asides: Vec<String> =
            files.filter(|name| name.starts_with("spool-") && name.ends_with(".db")).collect();
        asides.sort();
        asides
    }
}

fn look(database: &Path) -> rusqlite::Result<rusqlite::Connection> {
    rusqlite::Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn check(database: &Path) -> String {
    let found = look(database).and_then(|db| db.query_row("pragma quick_check(1)", [], |row| row.get(0)));
    found.unwrap_or_else(|error| error.to_string())
}

fn name(file: &fs::DirEntry) -> String {
    file.file_name().to_string_lossy().into_owned()
}

fn losses(sent: &[(BatchHeader, Vec<u8>)]) -> Vec<Loss> {
    sent.iter().flat_map(|(_, body)| decode(body).losses).collect()
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// So many sealed batches of one sample, and one open.
async fn filled(batches: i32) -> Bench {
    let bench = Bench::new().await;
    for n in 1..=batches {
        bench.seal(Lane::Normal, f64::from(n)).await;
    }
    bench.append(Lane::Normal, NOW, 0.5).await;
    bench
}

#[tokio::test]
async fn a_sound_spool_is_not_set_aside_however_it_ended() {
    let bench = filled(3).await;
    assert_eq!(bench.killed(|_| {}).await.asides(), [""; 0]);
    let mut closed = bench;
    closed.close();
    assert_eq!(closed.killed(|_| {}).await.asides(), [""; 0]);
}

#[tokio::test]
async fn a_spool_that_is_no_database_any_more_is_set_aside_and_all_of_it_is_told_as_lost() {
    let mut bench = filled(3).await;
    bench.close();
    let damaged = bench.killed(|dir| overwrite(&dir.join(FILE), 0, &[0x55; 4_096])).await;
    damaged.append(Lane::Normal, NOW, 9.0).await;
    damaged.salvage().await;
    assert_eq!(damaged.asides(), ["spool-damaged-1.db"], "it waits until the cloud knows");
    let sent = damaged.drain().await;
    assert_eq!(values(&sent), [9.0]);
    let loss = &losses(&sent)[0];
    assert_eq!(&*loss.reason, "spool_damaged");
    damaged.finish_salvage().await;
    assert_eq!(damaged.asides(), ["spool-salvaged-1.db"]);
}

#[tokio::test]
async fn a_wal_that_is_gone_is_noticed_and_the_range_begins_before_what_was_in_it() {
    let mut bench = filled(3).await;
    bench.reopen(LIMITS);
    bench.seal(Lane::Normal, 4.0).await;
    let damaged = bench.killed(|dir| fs::remove_file(dir.join(format!("{FILE}-wal"))).unwrap()).await;
    damaged.salvage().await;
    let sent = damaged.drain().await;
    assert_eq!(sorted(values(&sent)), [0.5, 1.0, 2.0, 3.0], "what was in the database");
    let loss = &losses(&sent)[0];
    assert!(loss.from < NOW, "{loss:?}");
}

#[tokio::test]
async fn a_wal_with_a_wrong_bit_is_noticed() {
    let bench = filled(30).await;
    let wal = format!("{FILE}-wal");
    let damaged = bench.killed(|dir| overwrite(&dir.join(wal), 20_000, &[0xaa])).await;
    assert_eq!(damaged.asides().len(), 1);
    damaged.salvage().await;
    assert_eq!(losses(&damaged.drain().await).len(), 1);
}

#[tokio::test]
async fn what_can_be_read_of_a_damaged_spool_goes_on_under_its_numbers() {
    let mut bench = filled(40).await;
    bench.close();
    let path = bench.dir.join(FILE);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("update bodies set body = zeroblob(50) where batch_id in (7, 8)", []).unwrap();
    drop(db);
    let damaged = bench.killed(|_| {}).await;
    let (first, _) = damaged.next().await.unwrap();
    assert_eq!(first.batch.seq, 1, "nothing is noticed before it is touched");
    // The call that meets the damage fails; the next one finds another spool.
    while let Ok(next) = damaged.spool().next(at_once(), LATER).await {
        let Next::Send(outgoing) = next else { panic!("the damage was not noticed") };
        damaged.ack(&outgoing).await;
    }
    damaged.salvage().await;
    let sent = damaged.drain().await;
    let resumed: Vec<u64> =
        sent.iter().filter(|(h, _)| h.lane == Lane::Normal).map(|(h, _)| h.batch.seq).collect();
    assert_eq!(resumed, (9..=41).collect::<Vec<_>>());
    assert!(sent.iter().filter(|(h, _)| h.lane == Lane::Normal).all(|(h, _)| h.resumed));
    let loss = &losses(&sent)[0];
    assert_eq!((loss.samples, loss.seqs[&first.batch.epoch].ranges()[0]), (2, (7, 8)));
    assert!(loss.from <= NOW && loss.to >= NOW);
}

#[tokio::test]
async fn a_value_that_changed_by_itself_is_never_delivered() {
    let mut bench = filled(0).await;
    bench.append(Lane::Normal, NOW + 1, 0.25).await;
    bench.close();
    let db = rusqlite::Connection::open(bench.dir.join(FILE)).unwrap();
    db.execute("update open_ticks set vals = x'000000000000f03f' where n = 1", []).unwrap();
    drop(db);
    let damaged = bench.killed(|_| {}).await;
    damaged.salvage().await;
    let sent = damaged.drain().await;
    assert_eq!(values(&sent), [0.25]);
    assert_eq!(losses(&sent).len(), 1);
}

#[tokio::test]
async fn what_was_answered_to_a_sender_is_still_known_afterwards() {
    use storepulse_agent::spool::{Forwarded, PushVerdict, Pushed, Sender};
    let push = async |bench: &Bench| {
        let idempotency = Some(("k".to_owned(), vec![1]));
        let content =
            Forwarded::Flat { frames: vec![tick(NOW, 1.0)], rows: 1, lane: Lane::Normal, idempotency };
        bench.spool().push(Pushed { sender: Sender(vec![]), content }, NOW).await.unwrap()
    };
    let bench = filled(3).await;
    let PushVerdict::Ack(first) = push(&bench).await else { panic!("refused") };
    let damaged = without_a_row(bench).await;
    let PushVerdict::Ack(again) = push(&damaged).await else { panic!("refused") };
    assert_eq!(first, again);
}

/// Ruins the database of a folder beyond reading, with its WAL.
fn ruin(dir: &Path) {
    overwrite(&dir.join(FILE), 0, &[0x55; 4_096]);
    overwrite(&dir.join(format!("{FILE}-wal")), 0, &[0x55; 4_096]);
}

/// The spool opened again after the row of its second batch has vanished: it is set aside, and all of it can be salvaged.
async fn without_a_row(mut bench: Bench) -> Bench {
    bench.close();
    let db = rusqlite::Connection::open(bench.dir.join(FILE)).unwrap();
    db.execute("delete from batches where seq = 2", []).unwrap();
    drop(db);
    let damaged = bench.killed(|_| {}).await;
    assert_eq!(damaged.asides().len(), 1, "a row that has vanished is noticed");
    damaged
}

/// Three sealed batches and an open one, salvaged.
async fn salvaged() -> Bench {
    let damaged = without_a_row(filled(3).await).await;
    damaged.salvage().await;
    damaged
}

#[tokio::test]
async fn a_second_damage_before_the_cloud_has_the_first_takes_nothing_with_it() {
    let first = salvaged().await;
    first.append(Lane::Normal, NOW, 9.0).await;
    let (of_first, _) = first.next().await.unwrap();
    let second = first.killed(ruin).await;
    second.salvage().await;
    let sent = second.drain().await;
    assert_eq!(sorted(values(&sent)), [0.5, 1.0, 2.0, 3.0], "the file from before is read again");
    let named: Vec<_> = losses(&sent).iter().flat_map(|loss| loss.seqs.clone().into_keys()).collect();
    assert!(named.contains(&of_first.batch.epoch), "nothing more comes of the epoch in between");
    second.finish_salvage().await;
    assert_eq!(second.asides(), ["spool-salvaged-1.db", "spool-salvaged-2.db"]);
}

#[tokio::test]
async fn what_comes_back_from_a_damaged_spool_under_a_closed_number_is_kept_for_people_and_told() {
    let damaged = salvaged().await;
    let (closed, outgoing) = loop {
        let (header, outgoing) = damaged.next().await.unwrap();
        if header.lane == Lane::Normal {
            break (header, outgoing);
        }
        damaged.ack(&outgoing).await;
    };
    damaged.settle(&outgoing, Settlement::Renumber).await;
    assert_eq!(damaged.status().await.quarantine.len(), 1);
    let sent = damaged.drain().await;
    assert_eq!(values(&sent).len(), 3, "its content may have gone on under other numbers before");
    let told = losses(&sent);
    let told = told.iter().find(|loss| loss.reason == "quarantined").unwrap();
    assert!(told.seqs[&closed.batch.epoch].contains(closed.batch.seq));
    damaged.finish_salvage().await;
}

#[tokio::test]
async fn epochs_of_which_not_even_the_row_is_left_are_told_as_ended() {
    let mut bench = filled(2).await;
    let (before, _) = bench.next().await.unwrap();
    bench.reopen(LIMITS);
    bench.append(Lane::Normal, NOW, 7.0).await;
    let (running, _) = bench.next_of(at_once(), LATER).await.unwrap();
    let damaged = bench.killed(ruin).await;
    damaged.salvage().await;
    let loss = losses(&damaged.drain().await).remove(0);
    let (before, running) = (before.batch.epoch, running.batch.epoch);
    assert!(loss.seqs.contains_key(&before) && loss.seqs.contains_key(&running), "{loss:?}");
}

#[tokio::test]
async fn a_schema_of_which_one_entry_is_wrong_hides_nothing_else() {
    let mut bench = filled(3).await;
    bench.close();
    let db = rusqlite::Connection::open(bench.dir.join(FILE)).unwrap();
    db.pragma_update(None, "writable_schema", true).unwrap();
    let wrong = "update sqlite_schema set sql = 'create nonsense' where name = 'idempotency_keys_by_age'";
    assert_eq!(db.execute(wrong, []).unwrap(), 1);
    drop(db);
    let damaged = bench.killed(|_| {}).await;
    assert_eq!(damaged.asides().len(), 1);
    damaged.salvage().await;
    assert_eq!(sorted(values(&damaged.drain().await)), [0.5, 1.0, 2.0, 3.0]);
}

#[tokio::test]
async fn an_answer_that_comes_after_the_spool_was_replaced_is_not_taken_for_another_batch() {
    let mut bench = filled(3).await;
    bench.close();
    let db = rusqlite::Connection::open(bench.dir.join(FILE)).unwrap();
    db.execute("update bodies set body = zeroblob(50) where batch_id = 2", []).unwrap();
    drop(db);
    bench.reopen(LIMITS);
    let (_, on_its_way) = bench.next().await.unwrap();
    let wish = Wish { in_flight: vec![on_its_way.id], ..at_once() };
    assert!(bench.spool().next(wish.clone(), LATER).await.is_err(), "the second one is damaged");
    bench.seal(Lane::Normal, 9.0).await;
    let other = bench.next_of(wish, LATER).await;
    assert!(other.is_none(), "the new spool counts its rows anew: {other:?}");
    bench.ack(&on_its_way).await;
    assert_eq!(bench.status().await.acked_batches, 0);
    assert_eq!(values(&bench.drain().await), [9.0]);
}
