//! Which files there are: the one that is written now, and those that it was called before.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// Most names of a folder that are looked at.
const NAMES_MAX: usize = 10_000;
/// What rotation packs is not read.
const PACKED: [&str; 7] = [".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4", ".Z"];

/// A file and what is known of it.
pub(super) type Found = (PathBuf, Metadata);

/// The file that is written now: the path itself, or of all names that match its last part the one that was last written.
pub(super) fn current(path: &Path) -> io::Result<Option<Found>> {
    if !is_glob(path) {
        return match std::fs::metadata(path) {
            Ok(meta) => Ok(Some((path.to_owned(), meta))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(family(path)?.pop())
}

/// All files of the path: what matches its last part, or what rotation makes of its name. The last written is the last.
pub(super) fn family(path: &Path) -> io::Result<Vec<Found>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries.take(NAMES_MAX) {
        let file_name = entry?.file_name();
        let Some(other) = file_name.to_str() else { continue };
        let belongs = if is_glob(path) { matches(name, other) } else { is_rotated(name, other) };
        if !belongs || PACKED.iter().any(|end| other.ends_with(end)) {
            continue;
        }
        // What has gone since the folder was read is not there.
        if let Ok(meta) = std::fs::metadata(folder.join(other))
            && meta.is_file()
        {
            found.push((folder.join(other), meta));
        }
    }
    found.sort_by_key(|(path, meta)| (meta.modified().ok(), path.clone()));
    Ok(found)
}

/// Whether the last part of a path stands for many names.
pub(super) fn is_glob(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'*'))
}

/// Whether a name matches a pattern, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

/// Whether a name is `name` itself or what rotation makes of it: `name.1`, `name-20261121`, `stem.2026-11-21.ext`,
/// `name.old`.
fn is_rotated(name: &str, other: &str) -> bool {
    if name == other {
        return true;
    }
    let mark = |mark: &str| {
        mark == ".old"
            || mark == ".bak"
            || (mark.starts_with(['.', '-', '_'])
                && mark.contains(|c: char| c.is_ascii_digit())
                && mark.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | ':' | 'T')))
    };
    if other.strip_prefix(name).is_some_and(mark) {
        return true;
    }
    let Some((stem, ext)) = name.rsplit_once('.') else { return false };
    other
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(ext))
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, is) in [
            ("pos-*.log", "pos-2026-11-21.log", true),
            ("pos-*.log", "pos-.log", true),
            ("pos-*.log", "pos.log", false),
            ("*", "x", true),
            ("*.log", "a.log.1", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn rotated_names_are_known_and_others_are_not() {
        for other in [
            "app.log",
            "app.log.1",
            "app.log.12",
            "app.log-20261121",
            "app.log.2026-11-21T10:00",
            "app.2026-11-21.log",
            "app-1.log",
            "app.log.old",
        ] {
            assert!(is_rotated("app.log", other), "{other}");
        }
        for other in ["app.log.err", "apps.log", "app.log2", "app.log.swp", "my-app.log", "app.err.log"] {
            assert!(!is_rotated("app.log", other), "{other}");
        }
        assert!(is_rotated("journal", "journal.1") && !is_rotated("journal", "journals"));
    }
}
