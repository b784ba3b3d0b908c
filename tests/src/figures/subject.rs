//! What can be measured: each subject at some sizes, a figure each (`ingest` at 64, 100 and 1,000: `ingest-64`, …).

use super::bench::Bench;
use super::chain::{self, Comparison};
use super::figure::Figure;
use super::outage::Size;
use super::shipped::Build;
use super::{append, codec, footprint, ingest, onboard, people, seal, spool_disk, takeover, wire};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Encode,
    Decode,
    Append,
    Seal,
    Wire,
    WireHeader,
    DiskSpool,
    Ingest,
    Ack,
    RefusedCpu,
    NoisyNeighbour,
    DiskCloud,
    Compaction,
    DiskCompacted,
    Onboard,
    SignInTiming,
    SignInFlood,
    Takeover,
    ReadDay,
    ReadHotDay,
    ReadMonth,
    ReadOverview,
    BesideIngest,
    BesideDisk,
    BesideDay,
    BesideHours,
    BesideCrash,
    Binary,
    BinaryLean,
    MemoryIdle,
    MemorySteady,
    CrowdSchedule,
    CrowdCpu,
    CrowdMemory,
    LocalPage,
    LocalPageCpu,
    LocalPageMemory,
    StartBacklog,
    MemoryDrain,
    OutageReference,
    OutageReferenceLive,
    OutageReferenceAttempt,
    OutageDense,
    OutageDenseLive,
    OutageDenseAttempt,
}

/// Of a subject that has one figure only.
const NO_SIZE: usize = 0;

impl Subject {
    /// All, in the order in which they are told.
    const ALL: [Self; 45] = [
        Self::Encode,
        Self::Decode,
        Self::Append,
        Self::Seal,
        Self::Wire,
        Self::WireHeader,
        Self::DiskSpool,
        Self::Ingest,
        Self::Ack,
        Self::RefusedCpu,
        Self::NoisyNeighbour,
        Self::DiskCloud,
        Self::Compaction,
        Self::DiskCompacted,
        Self::Onboard,
        Self::SignInTiming,
        Self::SignInFlood,
        Self::Takeover,
        Self::ReadDay,
        Self::ReadHotDay,
        Self::ReadMonth,
        Self::ReadOverview,
        Self::BesideIngest,
        Self::BesideDisk,
        Self::BesideDay,
        Self::BesideHours,
        Self::BesideCrash,
        Self::Binary,
        Self::BinaryLean,
        Self::MemoryIdle,
        Self::MemorySteady,
        Self::CrowdSchedule,
        Self::CrowdCpu,
        Self::CrowdMemory,
        Self::LocalPage,
        Self::LocalPageCpu,
        Self::LocalPageMemory,
        Self::StartBacklog,
        Self::MemoryDrain,
        Self::OutageReference,
        Self::OutageReferenceLive,
        Self::OutageReferenceAttempt,
        Self::OutageDense,
        Self::OutageDenseLive,
        Self::OutageDenseAttempt,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Append => "append",
            Self::Seal => "seal",
            Self::Wire => "wire",
            Self::WireHeader => "wire-header",
            Self::DiskSpool => "disk-spool",
            Self::Ingest => "ingest",
            Self::Ack => "ack",
            Self::RefusedCpu => "refused-cpu",
            Self::NoisyNeighbour => "noisy-neighbour",
            Self::DiskCloud => "disk-cloud",
            Self::Compaction => "compaction",
            Self::DiskCompacted => "disk-compacted",
            Self::Onboard => "onboard",
            Self::SignInTiming => "sign-in-timing",
            Self::SignInFlood => "sign-in-flood",
            Self::Takeover => "takeover",
            Self::ReadDay => "read-day",
            Self::ReadHotDay => "read-hot-day",
            Self::ReadMonth => "read-month-by-hour",
            Self::ReadOverview => "read-overview",
            Self::BesideIngest => "beside-ingest",
            Self::BesideDisk => "beside-disk",
            Self::BesideDay => "beside-day",
            Self::BesideHours => "beside-hours",
            Self::BesideCrash => "beside-crash",
            Self::Binary => "binary",
            Self::BinaryLean => "binary-lean",
            Self::MemoryIdle => "memory-idle",
            Self::MemorySteady => "memory-steady",
            Self::CrowdSchedule => "crowd-schedule",
            Self::CrowdCpu => "crowd-cpu",
            Self::CrowdMemory => "crowd-memory",
            Self::LocalPage => "local-page-answer",
            Self::LocalPageCpu => "local-page-cpu",
            Self::LocalPageMemory => "local-page-memory",
            Self::StartBacklog => "start-backlog",
            Self::MemoryDrain => "memory-drain",
            Self::OutageReference => "outage-reference-drained",
            Self::OutageReferenceLive => "outage-reference-live",
            Self::OutageReferenceAttempt => "outage-reference-attempt",
            Self::OutageDense => "outage-dense-drained",
            Self::OutageDenseLive => "outage-dense-live",
            Self::OutageDenseAttempt => "outage-dense-attempt",
        }
    }

    /// Samples a batch; for `append`, samples a commit; for `onboard`, stores; for `takeover`, millions of rows.
    const fn sizes(self) -> &'static [usize] {
        match self {
            Self::Encode | Self::Decode => &codec::SIZES,
            Self::Append => &append::SIZES,
            Self::Seal => &seal::SIZES,
            Self::Wire | Self::WireHeader => &wire::SIZES,
            Self::DiskSpool => &spool_disk::SIZES,
            Self::Ingest => &ingest::SIZES,
            Self::Ack => &ingest::ack::SIZES,
            Self::DiskCloud => &ingest::disk::SIZES,
            Self::Compaction => &ingest::compaction::SIZES,
            Self::Onboard => &onboard::SIZES,
            Self::Takeover => &takeover::SIZES,
            _ => &[NO_SIZE],
        }
    }

    /// The name of its figure at this size.
    pub(super) fn name_of(self, size: usize) -> String {
        match (self, size) {
            (_, NO_SIZE) => self.word().to_owned(),
            (Self::Takeover, millions) => format!("{}-{millions}m", self.word()),
            _ => format!("{}-{size}", self.word()),
        }
    }

    /// Takes minutes, or another database, and is measured only if it is called for.
    const fn is_by_name_only(self) -> bool {
        matches!(
            self,
            Self::OutageDense
                | Self::OutageDenseLive
                | Self::OutageDenseAttempt
                | Self::Takeover
                | Self::ReadDay
                | Self::ReadHotDay
                | Self::ReadMonth
                | Self::ReadOverview
                | Self::BesideIngest
                | Self::BesideDisk
                | Self::BesideDay
                | Self::BesideHours
                | Self::BesideCrash
        )
    }

    /// What its values count.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Encode | Self::Decode => "ns a sample",
            Self::Append => "samples/s",
            Self::Seal => "samples/CPU s",
            Self::Wire
            | Self::WireHeader
            | Self::DiskSpool
            | Self::DiskCloud
            | Self::DiskCompacted
            | Self::BesideDisk => "bytes a sample",
            Self::Ingest | Self::Compaction | Self::BesideIngest => "µs CPU a sample",
            Self::Binary
            | Self::BinaryLean
            | Self::MemoryIdle
            | Self::MemorySteady
            | Self::MemoryDrain
            | Self::CrowdMemory
            | Self::LocalPageMemory => "MiB",
            Self::CrowdSchedule | Self::CrowdCpu | Self::LocalPageCpu => "%",
            Self::RefusedCpu => "µs CPU a batch",
            Self::Ack
            | Self::NoisyNeighbour
            | Self::LocalPage
            | Self::StartBacklog
            | Self::ReadDay
            | Self::ReadHotDay
            | Self::ReadMonth
            | Self::ReadOverview
            | Self::BesideDay
            | Self::BesideHours => "ms",
            Self::BesideCrash => "samples",
            Self::SignInTiming => "of 1",
            Self::SignInFlood => "processors",
            Self::Onboard
            | Self::Takeover
            | Self::OutageReference
            | Self::OutageReferenceLive
            | Self::OutageReferenceAttempt
            | Self::OutageDense
            | Self::OutageDenseLive
            | Self::OutageDenseAttempt => "s",
        }
    }

    /// What is measured, and beside what; for people.
    pub(super) const fn limit_is(self) -> &'static str {
        match self {
            Self::Encode => {
                "batch to JSON text, by samples a batch | limit: serde_json writing the same numbers bare"
            }
            Self::Decode => "JSON text to checked batch | limit: serde_json reading the same numbers bare",
            Self::Append => {
                "spool, one durable call after the other, by samples a commit | limit: plain SQLite, same commits"
            }
            Self::Seal => {
                "open samples to durable compressed batch | limit: encode, gzip and one plain SQLite commit"
            }
            Self::Wire => "body as sent, reference store | limit: gzip of the same numbers bare",
            Self::WireHeader => {
                "the header StorePulse-Batch beside that body, before HTTP/2 compresses headers"
            }
            Self::DiskSpool => {
                "growth of spool.db by sealed batches, after a checkpoint | limit: the bodies in it"
            }
            Self::Ingest => {
                "cloud + PostgreSQL over HTTPS, 8 senders | limit: client + PostgreSQL, bare loop of the same INSERT"
            }
            Self::Ack => {
                "a batch's ack over HTTPS at 70 % load, 8 senders, 99th percentile | limit: a bare commit at the same times"
            }
            Self::RefusedCpu => {
                "cloud + PostgreSQL over HTTPS, a batch of 94 samples beyond a limit | limit: one that is stored"
            }
            Self::NoisyNeighbour => {
                "others' acks at 30 % load while a tenant sends 100 times its limit, 99th percentile | limit: equally busy without it"
            }
            Self::DiskCloud => "growth of inbox and streams with indexes | limit: the bodies as sent",
            Self::Compaction => {
                "upkeep + PostgreSQL, inbox to series_days, by samples a batch | limit: ingest of the same"
            }
            Self::DiskCompacted => "growth of series_days with indexes | limit: the bodies as sent",
            Self::Onboard => {
                "a tenant with so many stores, package and validation | limit: the disk, two synced files a store"
            }
            Self::SignInTiming => {
                "what the time of a wrong sign-in tells of whether the user is there: 0 nothing, 1 all | limit: of two who are"
            }
            Self::SignInFlood => {
                "what the service is busy on while wrong passwords come from everywhere | limit: half of the processors"
            }
            Self::Takeover => "longest insert into a table that is being taken over | limit: without that",
            Self::ReadDay => {
                "a compacted day of a series, of 432 M samples, over HTTPS; 95 of 100 are faster"
            }
            Self::ReadHotDay => "the day that is still in the inbox, the same",
            Self::ReadMonth => "30 days of a series by the hour, the same",
            Self::ReadOverview => {
                "1,000 stores of a tenant, with what has arrived, is missing and is lost of each; 95 of 100 are faster"
            }
            Self::BesideIngest => {
                "ingest, PostgreSQL and compaction | limit: VictoriaMetrics, the same samples"
            }
            Self::BesideDisk => "series_days with indexes | limit: the folder of VictoriaMetrics, merged",
            Self::BesideDay => "a day of a series, 95 of 100 | limit: VictoriaMetrics, the same day",
            Self::BesideHours => "5 days by the hour, 95 of 100 | limit: VictoriaMetrics, the same",
            Self::BesideCrash => "acknowledged and gone after SIGKILL of everything | limit: VictoriaMetrics",
            _ => self.of_shipped_agent_is(),
        }
    }

    /// The same of what is measured of the shipped agent as a process.
    const fn of_shipped_agent_is(self) -> &'static str {
        match self {
            Self::Binary => "the shipped agent on disk, stripped",
            Self::BinaryLean => "the same without the clients of the till's database servers",
            Self::CrowdSchedule => {
                "60 devices, half of them broken: ticks of the others that were kept within a second"
            }
            Self::CrowdCpu => "what the shipped agent takes of a core for them",
            Self::CrowdMemory => "its peak RSS with them",
            Self::LocalPage => {
                "the local page while 1,000 samples/s are collected, 99 of 100 are faster | limit: /health of the same server"
            }
            Self::LocalPageCpu => "what of a core it takes to have that page watched",
            Self::LocalPageMemory => "what that adds to the peak RSS",
            Self::MemoryIdle => "peak RSS of the shipped agent, the box's own collector only",
            Self::MemorySteady => "peak RSS of the shipped agent, reference store at sixty times its pace",
            Self::StartBacklog => "start of the shipped agent to first durable sample, 256 MiB waiting",
            Self::MemoryDrain => "peak RSS of the shipped agent from its start on, delivering 256 MiB",
            Self::OutageReference => {
                "72 h of the reference store over 1 Mbit/s and 200 ms, from the first answer to the last receipt"
            }
            Self::OutageDense => "72 h of 500 series at 10 s (13 M samples), the same",
            Self::OutageReferenceLive | Self::OutageDenseLive => {
                "from that answer to a live value in PostgreSQL"
            }
            Self::OutageReferenceAttempt | Self::OutageDenseAttempt => {
                "from the return of the link to the first attempt: at random below the cap"
            }
            _ => "",
        }
    }

    /// Measures it.
    pub(super) async fn measure(self, size: usize, bench: &mut Bench) -> anyhow::Result<Figure> {
        match self {
            Self::Encode => codec::encoding(size).await,
            Self::Decode => codec::decoding(size).await,
            Self::Append => append::measure(size, &bench.part("append")?).await,
            Self::Seal => seal::measure(size, &bench.part("seal")?).await,
            Self::Wire => wire::body(size, &bench.part("wire")?).await,
            Self::WireHeader => wire::header(size, &bench.part("wire")?).await,
            Self::DiskSpool => spool_disk::measure(size, &bench.part("disk")?).await,
            Self::Ingest => ingest::measure(size, bench.rig().await?).await,
            Self::Ack => ingest::ack::measure(size, bench.rig().await?).await,
            Self::RefusedCpu => {
                let dir = bench.part("refused")?;
                ingest::refused::measure(bench.rig().await?, &dir).await
            }
            Self::NoisyNeighbour => {
                let dir = bench.part("noisy")?;
                ingest::neighbour::measure(bench.rig().await?, &dir).await
            }
            Self::DiskCloud => ingest::disk::measure(size, bench.rig().await?).await,
            Self::Compaction => ingest::compaction::measure(size, bench.rig().await?).await,
            Self::DiskCompacted => ingest::compaction::disk(bench.rig().await?).await,
            Self::Onboard => onboard::measure(size, bench).await,
            Self::SignInTiming => people::timing(bench.rig().await?).await,
            Self::SignInFlood => people::flood(bench.rig().await?).await,
            Self::Takeover => takeover::measure(size, bench).await,
            Self::ReadDay => chain::day(bench.chain().await?).await,
            Self::ReadHotDay => chain::hot_day(bench.chain().await?).await,
            Self::ReadMonth => chain::month_by_hour(bench.chain().await?).await,
            Self::ReadOverview => {
                bench.chain().await?;
                let dir = bench.part("overview")?;
                chain::overview(bench.rig().await?, &dir).await
            }
            Self::BesideIngest => Ok(bench.beside().await?.figure(Comparison::Ingest)),
            Self::BesideDisk => Ok(bench.beside().await?.figure(Comparison::Disk)),
            Self::BesideDay => Ok(bench.beside().await?.figure(Comparison::Day)),
            Self::BesideHours => Ok(bench.beside().await?.figure(Comparison::Hours)),
            Self::BesideCrash => chain::samples_lost(&std::env::current_exe()?, &bench.part("crash")?).await,
            Self::Binary => footprint::binary(Build::Whole),
            Self::BinaryLean => footprint::binary(Build::Lean),
            Self::MemoryIdle => footprint::idle(bench).await,
            Self::MemorySteady => footprint::steady(bench).await,
            Self::CrowdSchedule => Ok(bench.crowd().await?.schedule()),
            Self::CrowdCpu => Ok(bench.crowd().await?.cpu()),
            Self::CrowdMemory => Ok(bench.crowd().await?.memory()),
            Self::LocalPage => Ok(bench.local_page().await?.answer()),
            Self::LocalPageCpu => Ok(bench.local_page().await?.cpu()),
            Self::LocalPageMemory => Ok(bench.local_page().await?.memory()),
            Self::StartBacklog => footprint::start(bench).await,
            Self::MemoryDrain => footprint::drain(bench).await,
            Self::OutageReference => Size::Reference.drained(bench).await,
            Self::OutageReferenceLive => Size::Reference.live(bench).await,
            Self::OutageReferenceAttempt => Size::Reference.attempt(bench).await,
            Self::OutageDense => Size::Dense.drained(bench).await,
            Self::OutageDenseLive => Size::Dense.live(bench).await,
            Self::OutageDenseAttempt => Size::Dense.attempt(bench).await,
        }
    }
}

/// The figures of these names: a whole name means itself, a beginning means all that begin so, none means all but those
/// that take minutes.
///
/// # Errors
/// Nothing is called so; the error lists what there is.
pub(super) fn choose(names: &[String]) -> anyhow::Result<Vec<(Subject, usize)>> {
    let all: Vec<(Subject, usize)> =
        Subject::ALL.into_iter().flat_map(|s| s.sizes().iter().map(move |size| (s, *size))).collect();
    let called = |name: &str, (subject, size): &(Subject, usize)| subject.name_of(*size) == name;
    let mut chosen: Vec<bool> =
        all.iter().map(|(subject, _)| names.is_empty() && !subject.is_by_name_only()).collect();
    for name in names {
        let is_whole = all.iter().any(|figure| called(name, figure));
        let mut is_known = false;
        for (figure, chosen) in all.iter().zip(&mut chosen) {
            if called(name, figure) || !is_whole && figure.0.name_of(figure.1).starts_with(name) {
                (*chosen, is_known) = (true, true);
            }
        }
        if !is_known {
            let known: Vec<String> = all.iter().map(|(subject, size)| subject.name_of(*size)).collect();
            anyhow::bail!("there is no figure {name:?}; there are {}", known.join(" "));
        }
    }
    Ok(all.into_iter().zip(chosen).filter_map(|(figure, chosen)| chosen.then_some(figure)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        choose(&names).unwrap().into_iter().map(|(subject, size)| subject.name_of(size)).collect()
    }

    #[test]
    fn a_whole_name_means_itself_and_a_beginning_means_all_that_begin_so() {
        assert_eq!(chosen(&["ingest-100"]), ["ingest-100"]);
        assert_eq!(chosen(&["ingest-10"]), ["ingest-100", "ingest-1000"]);
        assert_eq!(chosen(&["disk-cloud", "append-50"]), ["append-50", "disk-cloud-94", "disk-cloud-1000"]);
        assert_eq!(chosen(&["memory-idle"]), ["memory-idle"]);
        assert!(chosen(&[]).len() > 20);
    }

    #[test]
    fn what_takes_minutes_is_measured_only_by_its_name() {
        let takes_minutes = |name: &String| {
            ["outage-dense", "read-", "beside-", "takeover-"]
                .iter()
                .any(|beginning| name.starts_with(beginning))
        };
        assert!(!chosen(&[]).iter().any(takes_minutes));
        assert_eq!(chosen(&["outage"]).iter().filter(|name| takes_minutes(name)).count(), 3);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_names() {
        let error = choose(&["ingest".to_owned(), "speed".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"speed\"") && error.contains("wire-3600"), "{error}");
    }
}
