//! Under which account the private server runs, and whether that account can reach its folder.
//!
//! PostgreSQL refuses to run as root. As root we use `postgres`, which its package made, else `nobody`;
//! anybody else runs it as themselves.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::EmbeddedError;

/// The account that the server runs under.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// `None`: our own.
    other: Option<User>,
}

impl Account {
    pub(super) fn for_server() -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let found = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
        match found {
            Some(user) => Ok(Self { other: Some(user) }),
            None => Err(EmbeddedError::Missing(
                "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`"
                    .to_owned(),
            )),
        }
    }

    /// A command that will run under the account, from a folder that it can enter.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.other {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir("/");
        command
    }

    /// Checks that the account can reach the folder, makes it, and gives it to the account.
    pub(super) fn prepare_folder(&self, dir: &Path) -> Result<(), EmbeddedError> {
        let refused = |e: std::io::Error| EmbeddedError::folder(dir, e);
        let dir = std::path::absolute(dir).map_err(refused)?;
        if let Some(user) = &self.other
            && let Some(closed) = self.first_closed_parent(&dir)
        {
            let why = format!(
                "user {} cannot enter it, so the server cannot reach {}: choose a folder elsewhere, or `chmod o+x` it",
                user.name,
                dir.display()
            );
            return Err(EmbeddedError::folder(&closed, why));
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(refused)?;
        let Some(user) = &self.other else { return Ok(()) };
        if std::fs::metadata(&dir).map_err(refused)?.uid() == user.uid.as_raw() {
            return Ok(());
        }
        if std::fs::read_dir(&dir).map_err(refused)?.next().is_some() {
            let why = format!("belongs to another user than {} and is not empty", user.name);
            return Err(EmbeddedError::folder(&dir, why));
        }
        chown(&dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(refused)
    }

    /// Hands over a file that we wrote.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some(user) = &self.other else { return Ok(()) };
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(|e| EmbeddedError::folder(path, e))
    }

    /// The outermost folder above it that is there and that the account cannot enter, asked of the system itself.
    fn first_closed_parent(&self, dir: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = dir.ancestors().skip(1).filter(|folder| folder.exists()).collect();
        way.reverse();
        let can_enter = |folder: &&&Path| {
            let mut command = self.command(Path::new("/bin/sh"));
            command.args(["-c", "cd -- \"$1\"", "sh"]).arg(folder).stderr(std::process::Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        way.iter().find(|folder| !can_enter(folder)).map(|folder| folder.to_path_buf())
    }
}
