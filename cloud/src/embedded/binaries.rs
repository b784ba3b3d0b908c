//! Where the system keeps PostgreSQL's server programs: the PATH, then the folders of the distributions.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;

/// The oldest major version that will do.
const OLDEST: u32 = 15;
/// What to install where there is none.
pub const PACKAGE_HINT: &str = "install the package `postgresql` (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `postgresql-server`; Alpine: `postgresql15`), or run `cargo demo --install`, which does it";

/// The programs that a private server needs.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

impl Binaries {
    /// Where they lie, with PostgreSQL's other programs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.postgres.parent().unwrap_or(Path::new("/"))
    }

    /// Finds the newest installation that will do.
    ///
    /// # Errors
    /// [`EmbeddedError::Missing`], naming what was looked for and the package to install.
    pub fn find() -> Result<Self, EmbeddedError> {
        let mut too_old = None;
        for dir in candidates() {
            let found = Self { initdb: dir.join("initdb"), postgres: dir.join("postgres") };
            if !found.initdb.is_file() || !found.postgres.is_file() {
                continue;
            }
            match major_version(&found.postgres) {
                Some(version) if version >= OLDEST => return Ok(found),
                version => too_old = Some((dir, version)),
            }
        }
        Err(EmbeddedError::Missing(match too_old {
            Some((dir, version)) => format!(
                "PostgreSQL {} in {} is too old, {OLDEST} or newer is needed: {PACKAGE_HINT}",
                version.map_or_else(|| "of unknown version".to_owned(), |v| v.to_string()),
                dir.display(),
            ),
            None => format!("no PostgreSQL server on this machine (initdb, postgres): {PACKAGE_HINT}"),
        }))
    }
}

/// Folders to look into: the PATH as it is, then those of the distributions, newest version first.
fn candidates() -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "PATH says where programs are, not how we behave")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versioned: Vec<(u32, PathBuf)> = Vec::new();
    // Debian and Ubuntu; Red Hat's PGDG packages; Alpine; Homebrew on both kinds of Mac.
    for (parent, prefix, suffix) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|n| n.strip_prefix(prefix)).and_then(|v| v.parse().ok());
            if let Some(version) = version {
                versioned.push((version, Path::new(parent).join(&name).join(suffix)));
            }
        }
    }
    versioned.sort_unstable_by(|a, b| b.cmp(a));
    dirs.extend(versioned.into_iter().map(|(_, dir)| dir));
    dirs
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` → 15.
fn major_version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().nth(2)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_of_releases_betas_and_distributions_are_read() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(parse_version("postgres"), None);
    }
}
