//! Runs the commands of a document, all in one shell and in the order in which they stand.
//!
//! The shell's standard input is a pipe that we hold: what was left to run ends with it, whatever becomes of the test.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use storepulse_testbed::store::free_address;
use tokio::io::AsyncReadExt as _;

use super::markdown::{Command, is_shown};
use crate::setting::{folder, testbed};

/// All commands of one document, on a machine that is busy with other things: half a minute on one that is not.
const LIMIT: Duration = Duration::from_secs(480);
/// `curl` was answered with 400 or more.
const CURL_REFUSED: i32 = 22;

/// Where a document's commands are run.
pub(super) struct Stage {
    /// Of the test.
    dir: PathBuf,
    /// What the document stands in.
    pub(super) here: PathBuf,
    /// Names and places of the document, and what they are in the test. Earlier ones are replaced first.
    pub(super) cast: Vec<(String, String)>,
    /// What must be there when a command is run: shell, before the first command with this text.
    pub(super) before: Vec<(&'static str, String)>,
    /// Commands that may end in other ways, too.
    pub(super) may_end: Vec<(&'static str, i32)>,
    /// Where the document's cloud listens.
    pub(super) listen: String,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let dir = folder().await;
        let (here, bin) = (dir.join("here"), dir.join("bin"));
        for made in [&here, &bin, &dir.join("commands")] {
            std::fs::create_dir_all(made).unwrap();
        }
        for (name, text) in [
            ("storepulse-cloud", include_str!("wrappers/storepulse-cloud")),
            ("storepulse-agent", include_str!("wrappers/storepulse-agent")),
            ("curl", include_str!("wrappers/curl")),
            ("psql", include_str!("wrappers/psql")),
        ] {
            std::fs::write(bin.join(name), text).unwrap();
            std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(dir.join("session.sh"), include_str!("wrappers/session.sh")).unwrap();
        let listen = free_address().unwrap().to_string();
        Self { dir, here, cast: vec![], before: vec![], may_end: vec![], listen }
    }

    /// Plays `named` as `played` from here on.
    pub(super) fn play(&mut self, named: &str, played: impl Into<String>) -> &mut Self {
        self.cast.push((named.to_owned(), played.into()));
        self
    }

    fn played(&self, text: &str) -> String {
        self.cast.iter().fold(text.to_owned(), |text, (named, played)| text.replace(named, played))
    }

    /// Runs them, and says what was wrong, with the place in the document.
    pub(super) async fn run(&self, document: &str, commands: &[Command]) -> Vec<String> {
        let mut script = format!(". '{0}/session.sh'\ncd '{0}/here' || exit 1\n", self.dir.display());
        let mut before: Vec<&(&str, String)> = self.before.iter().collect();
        for (number, command) in commands.iter().enumerate() {
            before.retain(|(at, text)| {
                let is_now = command.text.contains(at);
                if is_now {
                    script.push_str(&self.played(text));
                    script.push('\n');
                }
                !is_now
            });
            let text = if command.is_sql { as_psql(&command.text) } else { command.text.clone() };
            std::fs::write(self.dir.join(format!("commands/{number}")), self.played(&text) + "\n").unwrap();
            script.push_str(&format!("perform {number} {}\n", stated_exit(command)));
        }
        script.push_str("finish\n");
        std::fs::write(self.dir.join("script.sh"), script).unwrap();
        let said = play(&self.dir, &self.listen).await;
        let mut wrong: Vec<String> = before.iter().map(|(at, _)| format!("no command has {at:?}")).collect();
        wrong.extend(self.judge(document, commands, &said));
        wrong
    }

    fn judge(&self, document: &str, commands: &[Command], said: &str) -> Vec<String> {
        let performed = performed(said);
        let mut wrong = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            let place = format!("{document}:{}: {}", command.line, command.name());
            let Some((code, output)) = performed.get(&number) else {
                wrong.push(format!("{place}\n  was not run to its end\n{said}"));
                break;
            };
            let stated = stated_exit(command);
            let allowed =
                self.may_end.iter().any(|(text, other)| command.text.contains(text) && other == code);
            if *code != stated && !allowed {
                wrong.push(format!("{place}\n  exit code {code}, not {stated}:\n{output}"));
            } else if let Some(status) = stated_status(command)
                && !output.contains(&format!("error: {status}"))
            {
                wrong.push(format!("{place}\n  not answered with {status}:\n{output}"));
            } else if let Err(why) = is_shown(&command.shows, output) {
                wrong.push(format!("{place}\n  {why}, and what one sees is:\n{output}"));
            }
        }
        if !said.ends_with("@@ finished\n") || said.contains("@@ badly ended") {
            wrong.push(format!("what was left to run did not end in order:\n{said}"));
        }
        wrong
    }
}

/// As the service's own login; the document says how it is reached.
fn as_psql(sql: &str) -> String {
    format!("psql \"$STOREPULSE_DATABASE_URL\" <<'SQL'\n{sql}\nSQL")
}

/// The exit code that the document states: 0 unless it says something else.
fn stated_exit(command: &Command) -> i32 {
    let comment = command.comment();
    if let Some(rest) = comment.strip_prefix("exit code ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        return digits.parse().unwrap();
    }
    if stated_status(command).is_some() { CURL_REFUSED } else { 0 }
}

fn stated_status(command: &Command) -> Option<String> {
    let status: String = command.comment().chars().take_while(char::is_ascii_digit).collect();
    (status.len() == 3 && command.text.starts_with("curl ")).then_some(status)
}

/// The last exit code and output of each command.
fn performed(said: &str) -> BTreeMap<usize, (i32, String)> {
    let mut all = BTreeMap::new();
    let mut output = String::new();
    for line in said.lines() {
        if line.starts_with("@@ begin ") {
            output.clear();
        } else if let Some(end) = line.strip_prefix("@@ end ") {
            let (number, code) = end.split_once(' ').unwrap();
            all.insert(number.parse().unwrap(), (code.parse().unwrap(), std::mem::take(&mut output)));
        } else {
            output.push_str(line);
            output.push('\n');
        }
    }
    all
}

async fn play(dir: &Path, listen: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "PATH says where programs are, not how we behave")]
    let path = std::env::var("PATH").unwrap_or_default();
    let curl = std::env::split_paths(&path).map(|dir| dir.join("curl")).find(|file| file.is_file());
    let curl = curl.expect("the documents' commands need curl: install the package `curl`");
    let mut shell = tokio::process::Command::new("bash");
    shell.arg(dir.join("script.sh")).env("STAGE", dir).env("CURL", curl).env("TESTBED", testbed());
    shell.env("PATH", format!("{}/bin:{path}", dir.display()));
    shell.env("LISTEN", listen).env("BESIDE", free_address().unwrap().to_string());
    for name in ["STOREPULSE_EMBEDDED", "STOREPULSE_DATABASE_URL", "STOREPULSE_CONFIG", "RUST_LOG"] {
        shell.env_remove(name);
    }
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = shell.spawn().unwrap();
    let held = child.stdin.take();
    let mut stdout = child.stdout.take().unwrap();
    let mut said = Vec::new();
    let in_time = tokio::time::timeout(LIMIT, stdout.read_to_end(&mut said)).await.is_ok();
    drop(held);
    if !in_time {
        child.start_kill().unwrap();
    }
    child.wait().await.unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    if in_time { said } else { format!("{said}\n@@ not done after {LIMIT:?}\n") }
}
