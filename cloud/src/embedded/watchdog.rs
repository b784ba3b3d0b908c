//! The child that ends the server when we end: panic, SIGKILL and Ctrl-C included.
//!
//! It is a shell that starts the server and then reads its standard input, a pipe whose other end only we
//! hold. When that closes, whatever the reason, it asks the server for a fast shutdown and waits for it.
//! The server alone keeps the shell's standard output, so that its end tells us that the server has ended.
//! The shell has a process group of its own, so that Ctrl-C in a terminal reaches us and not the server.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use tokio::net::unix::pipe;

use super::account::Account;
use super::binaries::Binaries;
use super::{EmbeddedError, Options};

/// `$1` is the folder to delete afterwards, or empty; the rest is the server's command line.
const SCRIPT: &str = r#"
delete=$1; shift
"$@" </dev/null &
server=$!
exec >/dev/null
read -r _
kill -INT "$server" 2>/dev/null
wait "$server"
if [ -n "$delete" ]; then rm -rf -- "$delete"; fi
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    stdin: Option<ChildStdin>,
    server_output: pipe::Receiver,
}

impl Watchdog {
    pub(super) fn start(
        binaries: &Binaries,
        account: &Account,
        options: &Options,
        port: u16,
    ) -> Result<Self, EmbeddedError> {
        let failed = |e: std::io::Error| EmbeddedError::Program { program: "postgres", why: e.to_string() };
        let data = options.dir.join("data");
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(options.dir.join("postgres.log"));
        let mut command = account.command(Path::new("/bin/sh"));
        command.args(["-c", SCRIPT, "watchdog"]);
        if options.ephemeral {
            command.arg(&data)
        } else {
            command.arg("")
        };
        command.arg(&binaries.postgres).arg("-D").arg(&data);
        for setting in settings(options, port) {
            command.args(["-c", &setting]);
        }
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_err(failed)?)
            .process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        let server_output = pipe::Receiver::from_owned_fd(stdout.into()).map_err(failed)?;
        Ok(Self { child, stdin, server_output })
    }

    /// Whether the server has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.server_output.try_read(&mut [0]), Ok(0))
    }

    /// Ends the server and waits for it.
    pub(super) async fn stop(&mut self) {
        drop(self.stdin.take());
        while matches!(self.child.try_wait(), Ok(None)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Watchdog {
    /// Closes the pipe and reaps the shell; a fast shutdown takes well under a second.
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "the watchdog of the embedded database cannot be waited for");
        }
    }
}

/// What the server is started with. The file `postgresql.conf` stays as `initdb` wrote it.
fn settings(options: &Options, port: u16) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        format!("max_connections={}", options.connections),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "log_min_messages=warning".to_owned(),
        "log_checkpoints=off".to_owned(),
        "shared_buffers=128MB".to_owned(),
        "max_wal_size=2GB".to_owned(),
    ];
    if !options.durable {
        settings.extend(["fsync=off", "full_page_writes=off", "synchronous_commit=off"].map(str::to_owned));
    }
    settings
}
