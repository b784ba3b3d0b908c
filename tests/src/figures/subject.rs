//! What can be measured: each subject at some sizes, a figure each (`ingest` at 64, 100 and 1,000: `ingest-64`, …).

use super::bench::Bench;
use super::figure::Figure;
use super::{append, codec, ingest, seal, spool_disk, wire};

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
    DiskCloud,
}

impl Subject {
    /// All, in the order in which they are told.
    const ALL: [Self; 9] = [
        Self::Encode,
        Self::Decode,
        Self::Append,
        Self::Seal,
        Self::Wire,
        Self::WireHeader,
        Self::DiskSpool,
        Self::Ingest,
        Self::DiskCloud,
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
            Self::DiskCloud => "disk-cloud",
        }
    }

    /// Samples a batch; for `append`, samples a commit.
    const fn sizes(self) -> &'static [usize] {
        match self {
            Self::Encode | Self::Decode => &codec::SIZES,
            Self::Append => &append::SIZES,
            Self::Seal => &seal::SIZES,
            Self::Wire | Self::WireHeader => &wire::SIZES,
            Self::DiskSpool => &spool_disk::SIZES,
            Self::Ingest => &ingest::SIZES,
            Self::DiskCloud => &ingest::disk::SIZES,
        }
    }

    /// The name of its figure at this size.
    pub(super) fn name_of(self, size: usize) -> String {
        format!("{}-{size}", self.word())
    }

    /// What its values count.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Encode | Self::Decode => "ns a sample",
            Self::Append => "samples/s",
            Self::Seal => "samples/CPU s",
            Self::Wire | Self::WireHeader | Self::DiskSpool | Self::DiskCloud => "bytes a sample",
            Self::Ingest => "µs CPU a sample",
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
            Self::DiskCloud => "growth of inbox and streams with indexes | limit: the bodies as sent",
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
            Self::DiskCloud => ingest::disk::measure(size, bench.rig().await?).await,
        }
    }
}

/// The figures of these names: a whole name means itself, a beginning means all that begin so, none means all.
///
/// # Errors
/// Nothing is called so; the error lists what there is.
pub(super) fn choose(names: &[String]) -> anyhow::Result<Vec<(Subject, usize)>> {
    let all: Vec<(Subject, usize)> =
        Subject::ALL.into_iter().flat_map(|s| s.sizes().iter().map(move |size| (s, *size))).collect();
    let called = |name: &str, (subject, size): &(Subject, usize)| subject.name_of(*size) == name;
    let mut chosen = vec![names.is_empty(); all.len()];
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
        assert!(chosen(&[]).len() > 20);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_names() {
        let error = choose(&["ingest".to_owned(), "speed".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"speed\"") && error.contains("wire-3600"), "{error}");
    }
}
