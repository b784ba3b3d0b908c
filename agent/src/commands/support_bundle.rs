//! `support-bundle`: everything that support wants to know, in one file that can be carried out of the shop. With a running agent or
//! without one, with a configuration that is right or not.

use std::io::{ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::progress::Progress;
use super::quarantine::write_file;
use super::say;
use crate::bundle::{self, Bundle, BundleSource};
use crate::status::Network;

/// Where it goes.
#[derive(Debug, Args)]
pub(super) struct SupportBundleCommand {
    /// The file, or the folder for it, or - for stdout; storepulse-support-STORE-TIME.html here if it is left out
    #[arg(long, value_name = "FILE|-")]
    out: Option<PathBuf>,
}

pub(super) async fn run(
    config_path: &Path,
    command: SupportBundleCommand,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let bundle = make(config_path).await?;
    if command.out.as_deref() == Some(Path::new("-")) {
        out.write_all(bundle.html.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = write(&bundle, command.out, config_path)?;
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    how_to_take_it(&path, bundle.html.len(), &addresses(&Network::read(Path::new("/"))), out)?;
    Ok(ExitCode::SUCCESS)
}

/// On a terminal with a line that says how far it is; elsewhere a line for each step.
async fn make(config_path: &Path) -> anyhow::Result<Bundle> {
    let source = BundleSource { config_path: config_path.to_owned(), support: None, doctor: None };
    let progress = std::io::stderr().is_terminal().then(|| Progress::begin("making the bundle"));
    let mut tell = |done: usize, of: usize, what: &str| match &progress {
        Some(progress) => progress.tell(done, of, what),
        None => say(&format!("{done} of {of}: {what}")),
    };
    Ok(bundle::make(source, &mut tell).await?)
}

/// Writes the file where it is wished for; without a wish here, or where here cannot be written beside the configuration.
fn write(bundle: &Bundle, wish: Option<PathBuf>, config_path: &Path) -> anyhow::Result<PathBuf> {
    let html = bundle.html.as_bytes();
    if let Some(wish) = wish {
        let path = if wish.is_dir() { wish.join(&bundle.file_name) } else { wish };
        write_file(&path, html)?;
        return Ok(path);
    }
    let here = PathBuf::from(&bundle.file_name);
    match write_file(&here, html) {
        Err(error) if is_read_only(&error) => {
            let path = config_path.with_file_name(&bundle.file_name);
            write_file(&path, html)?;
            Ok(path)
        }
        written => written.map(|()| here),
    }
}

/// As in a container, whose own files cannot be written.
fn is_read_only(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied))
}

fn addresses(network: &Network) -> Vec<String> {
    let addresses = network.interfaces.iter().flat_map(|interface| &interface.addresses);
    addresses.filter(|address| address.is_ipv4()).map(ToString::to_string).collect()
}

fn how_to_take_it(
    path: &Path,
    bytes: usize,
    addresses: &[String],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let (shown, size) = (path.display(), bundle::size(bytes));
    let host = addresses.first().map_or("ADDRESS-OF-THIS-BOX", String::as_str);
    writeln!(out, "{shown} ({size}): keys, passwords and card numbers are not in it")?;
    writeln!(out, "take it")?;
    writeln!(out, "  by phone      sign in on the agent's page and choose \"Support bundle\"")?;
    writeln!(
        out,
        "  by USB stick  cp {shown} /media/STICK/   (or: storepulse-agent support-bundle --out /media/STICK)"
    )?;
    writeln!(out, "  by network    scp USER@{host}:{shown} .")?;
    writeln!(out, "  in Docker     docker cp CONTAINER:{shown} .")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn bundle() -> Bundle {
        Bundle { file_name: "storepulse-support-S1-x.html".to_owned(), html: "<p>new".to_owned() }
    }

    #[test]
    fn the_file_is_for_its_owner_only_and_no_other_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(&bundle(), Some(dir.path().to_owned()), Path::new("x")).unwrap();
        assert_eq!(path, dir.path().join("storepulse-support-S1-x.html"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Bundle { html: "<p>newer".to_owned(), ..bundle() };
        let error = write(&again, Some(path.clone()), Path::new("x")).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "<p>new");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_apart_from_a_file_that_is_there() {
        let why = |kind: ErrorKind| anyhow::Error::from(std::io::Error::from(kind)).context("path");
        assert!(
            is_read_only(&why(ErrorKind::ReadOnlyFilesystem))
                && is_read_only(&why(ErrorKind::PermissionDenied))
        );
        assert!(
            !is_read_only(&why(ErrorKind::StorageFull))
                && !is_read_only(&anyhow::anyhow!("is there already"))
        );
    }

    #[test]
    fn it_is_said_where_it_is_how_large_and_how_to_take_it() {
        let mut out = Vec::new();
        how_to_take_it(Path::new("/a/b.html"), 70_000, &["192.168.1.5".to_owned()], &mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        for part in
            ["/a/b.html (69 KiB)", "phone", "/media/STICK", "scp USER@192.168.1.5:/a/b.html", "docker cp"]
        {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
