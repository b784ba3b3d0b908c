//! `deploy.sh` against a pretend docker: what it says of everything that can be wrong, that it leaves what runs as it is, and that
//! it comes to a good end wherever it is killed. With a real engine: `cargo engine`.

mod changes;
mod troubles;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const DOCKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/deploy_sh/docker");
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/store");

/// The image that the package names, and what else there is: name, id, how its agent becomes.
const OLD: &str = "storepulse/agent:0.1.0";
const NEW: &str = "storepulse/agent:0.2.0";
const BROKEN: &str = "storepulse/agent:0.3.0";
const IMAGES: &str = "storepulse/agent:0.1.0 sha256:old healthy\nstorepulse/agent:0.2.0 sha256:new healthy\n\
                      storepulse/agent:0.3.0 sha256:broken unhealthy\n";

/// As the agent's `status --json` has it, and with the word in another place as well.
const CONNECTED: &str =
    "{\n  \"spool\": {},\n  \"uplink\": {\n    \"now\": {},\n    \"state\": \"connected\"\n  }\n}\n";
const HELD: &str =
    "{\n  \"device\": { \"state\": \"connected\" },\n  \"uplink\": {\n    \"state\": \"held\"\n  }\n}\n";

/// A box with the folder of a store, and a docker that only pretends.
struct GatewayBox {
    root: TempDir,
}

/// What a run came to.
struct Run {
    code: i32,
    said: String,
}

impl GatewayBox {
    /// With docker, compose 2.24, three images and no container.
    fn new() -> Self {
        let this = Self { root: tempfile::tempdir().unwrap() };
        for part in ["package", "bin", "pretend"] {
            std::fs::create_dir(this.root.path().join(part)).unwrap();
        }
        for name in ["deploy.sh", "docker-compose.yml", "agent.yaml"] {
            let template = std::fs::read_to_string(Path::new(TEMPLATES).join(name)).unwrap();
            let company = if name == "deploy.sh" { "'La Villa'" } else { "\"La Villa\"" };
            let filled = [
                ("{{company}}", company),
                ("{{tenant}}", "la-villa"),
                ("{{store}}", "T01"),
                ("{{version}}", "0.1.0"),
                ("{{cloud_url}}", "\"https://cloud.example\""),
                ("{{ca_file}}", ""),
                // So that no test needs a port that something else on this machine has.
                ("0.0.0.0:9751", "127.0.0.1:1"),
            ];
            let text = filled.iter().fold(template, |text, (name, value)| text.replace(name, value));
            this.write(name, &text);
        }
        let page = "local: { listen: '127.0.0.1:2' }\n";
        this.write("agent.yaml", &(this.read("agent.yaml") + page));
        this.write("store.key", "store_la-villa_T01_x");
        this.write("push.token", "push_x");
        for secret in ["store.key", "push.token"] {
            this.chmod(&this.file(secret), 0o600);
        }
        this.chmod(&this.file("deploy.sh"), 0o755);
        this.program("docker", None);
        // This machine's own is not meant: until a test says otherwise, this one ends with an error.
        this.program("docker-compose", None);
        // What takes time here is only counted.
        this.program("hostname", Some("#!/bin/sh\necho 192.0.2.7\n"));
        this.program("sleep", Some("#!/bin/sh\nexit 0\n"));
        this.pretend("images", IMAGES);
        this.pretend("compose-version", "2.24.5\n");
        this.pretend("labels", "la-villa/T01\n");
        this.pretend("status", "everything is well\n");
        this.pretend("status-json", CONNECTED);
        this.pretend("status-code", "0\n");
        this
    }

    /// The same, with the agent of [`OLD`] running.
    fn running() -> Self {
        let this = Self::new();
        let run = this.deploy(&[], &[]);
        assert_eq!(run.code, 0, "{}", run.said);
        assert!(this.container().starts_with(OLD), "{}", this.container());
        this.forget_calls();
        this
    }

    fn deploy(&self, args: &[&str], environment: &[(&str, &str)]) -> Run {
        let output = self.command(args, environment).output().unwrap();
        Run::of(&output)
    }

    fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> Command {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.root.path().join("bin").display());
        let mut command = Command::new(self.file("deploy.sh"));
        command.args(args).env_clear().env("PATH", path).env("PRETEND", self.root.path().join("pretend"));
        command.env("STOREPULSE_WAIT", "6").env("STOREPULSE_CLOUD_WAIT", "4");
        command.env("STOREPULSE_FREE_MIN_MB", "1").envs(environment.iter().copied());
        command
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("package").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    #[expect(clippy::unused_self, reason = "reads like the others")]
    fn chmod(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A program on the script's PATH: this text, or the pretend docker under this name.
    fn program(&self, name: &str, text: Option<&str>) {
        let path = self.root.path().join("bin").join(name);
        match text {
            Some(text) => {
                std::fs::write(&path, text).unwrap();
                self.chmod(&path, 0o755);
            }
            None => symlink(DOCKER, path).unwrap(),
        }
    }

    /// What the pretend docker knows.
    fn pretend(&self, name: &str, text: &str) {
        std::fs::write(self.root.path().join("pretend").join(name), text).unwrap();
    }

    fn pretend_no_more(&self, name: &str) {
        let _ = std::fs::remove_file(self.root.path().join("pretend").join(name));
    }

    fn pretended(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.path().join("pretend").join(name)).unwrap_or_default()
    }

    /// `image id health restarts` of the container.
    fn container(&self) -> String {
        self.pretended("container")
    }

    fn forget_calls(&self) {
        self.pretend_no_more("calls");
    }

    /// Nothing was started, stopped or removed, and nothing was written for a next run to take up.
    fn assert_untouched(&self, container: &str, said: &str) {
        assert_eq!(self.container(), container, "{said}");
        let calls = self.pretended("calls");
        for word in [" up ", " rm ", " stop", " down", " kill", " volume rm", " volume create"] {
            assert!(!calls.contains(word), "{word}: {calls}");
        }
        assert!(!self.file(".upgrade").exists() && !self.file(".deploying").exists(), "{said}");
    }
}

impl Run {
    fn of(output: &Output) -> Self {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        Self { code: output.status.code().unwrap_or(-1), said: String::from_utf8_lossy(&said).into_owned() }
    }

    /// It failed with this code, and says what is wrong and what to do.
    fn assert_says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.said);
        for word in words {
            assert!(self.said.contains(word), "{word:?} is not in\n{}", self.said);
        }
    }
}
