//! The package: what stands in it, who may read it, and that its agent works as it is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use storepulse_agent::config::Config;
use storepulse_cloud::onboarding::{Contacts, Request};
use storepulse_shared::key::PushToken;
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::children::Role;
use storepulse_testbed::wait;

use super::{Place, files_below, into, key_in, unvalidated};
use crate::command_line;
use crate::setting::{folder, now_ms, testbed};

const LIMIT: Duration = Duration::from_secs(60);
/// Its agent listens where every agent does by default, so two tests at once could not run theirs.
const PUSH: &str = "http://127.0.0.1:9751";

fn yaml(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", path.display()))
}

#[tokio::test]
async fn the_package_is_the_guides_and_secrets_stand_in_0600_files_and_nowhere_else() {
    let place = Place::new().await;
    let out = folder().await.join("deployment_package_cliente3");
    let mut said = Vec::new();
    let request = place.request("cliente3", 3);
    storepulse_cloud::onboarding::run(&place.door, &request, &into(&out), &mut said).await.unwrap();

    let names: Vec<String> =
        files_below(&out).iter().map(|p| p.strip_prefix(&out).unwrap().display().to_string()).collect();
    let of_store = [
        "agent.yaml",
        "ca.pem",
        "deploy.sh",
        "docker-compose.yml",
        "pos-agent-config.yaml",
        "push.token",
        "store.key",
    ];
    let mut wanted = vec!["README.md".to_owned()];
    wanted
        .extend(["T01", "T02", "T03"].iter().flat_map(|s| of_store.iter().map(move |f| format!("{s}/{f}"))));
    wanted.push("onboarding_results.json".to_owned());
    assert_eq!(names, wanted);

    let secret_files = ["store.key", "push.token", "pos-agent-config.yaml"];
    for path in files_below(&out) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        let wanted = match name {
            "deploy.sh" => 0o755,
            name if secret_files.contains(&name) => 0o600,
            _ => 0o644,
        };
        assert_eq!(mode, wanted, "{}", path.display());
    }
    for store in ["T01", "T02", "T03"] {
        let dir = out.join(store);
        let (key, token) = (key_in(&dir), token_in(&dir));
        for (secret, places) in [
            (key.expose().rsplit('_').next().unwrap(), vec![dir.join("store.key")]),
            (token.expose(), vec![dir.join("pos-agent-config.yaml"), dir.join("push.token")]),
        ] {
            // Its public part may be shown.
            let secret = &secret[secret.len() - 38..];
            let found: Vec<_> = files_below(&out)
                .into_iter()
                .filter(|path| std::fs::read_to_string(path).unwrap().contains(secret))
                .collect();
            assert_eq!(found, places);
            assert!(!String::from_utf8_lossy(&said).contains(secret));
        }
    }
}

fn token_in(dir: &Path) -> PushToken {
    std::fs::read_to_string(dir.join("push.token")).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn no_name_breaks_a_file() {
    let place = Place::new().await;
    let names = [
        "株式会社ストア",
        "متجر",
        "O'Brien & \"Sons\" &lt;script&gt;",
        "'; touch /tmp/pwned; '",
        "$(touch pwned) `touch pwned` ${HOME} $$ $1",
        "a: b # c - d ? e | & * ! % @ [x] {y}",
        "{{push_token}} {{store}} }} {{",
        "\\ \\n \\u0041 \\x00",
        "| a | b |\u{a0}# [x](javascript:alert(1)) ![y](z) ~~~ ```",
        "---",
        "null",
        "- 🛒 e\u{301}",
        "%s%n",
    ];
    for (no, name) in names.into_iter().enumerate() {
        let out = folder().await;
        let contacts = Contacts { admin: Some(name.to_owned()), ..Contacts::default() };
        let request = Request { company: name.to_owned(), contacts, ..place.request(&format!("n{no}"), 1) };
        place.onboard(&request, &unvalidated(&out)).await.unwrap();
        let dir = out.join("T01");
        let compose = yaml(&dir.join("docker-compose.yml"));
        let agent = &compose["services"]["agent"];
        // Compose reads `$$` as `$`.
        let label = agent["labels"]["io.storepulse.company"].as_str().unwrap().replace("$$", "$");
        assert_eq!(label, name);
        assert_eq!(agent["network_mode"], "host");
        assert_eq!(agent["healthcheck"]["test"][2], "health");
        assert_eq!(yaml(&dir.join("pos-agent-config.yaml"))["company"], name);
        let config = Config::load(&dir.join("agent.yaml")).unwrap();
        assert_eq!(config.cloud.url, place.cloud.url());

        let script = std::fs::read_to_string(dir.join("deploy.sh")).unwrap();
        let parsed = Command::new("sh").arg("-n").arg(dir.join("deploy.sh")).output().unwrap();
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
        let assigned = script.lines().find(|line| line.starts_with("company=")).unwrap();
        let mut shell = Command::new("sh");
        let shown = shell.args(["-c", &format!("{assigned}; printf %s \"$company\"")]).current_dir(&dir);
        assert_eq!(String::from_utf8(run(shown)).unwrap(), name, "{assigned}");

        let results = std::fs::read_to_string(out.join("onboarding_results.json")).unwrap();
        let results: serde_json::Value = serde_json::from_str(&results).unwrap();
        assert_eq!(results["company"], name);
        let readme = std::fs::read_to_string(out.join("README.md")).unwrap();
        assert!(readme.lines().count() > 20 && !readme.contains("](javascript"));
        assert!(!Path::new("/tmp/pwned").exists() && !dir.join("pwned").exists());
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let done = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success());
    done.stdout
}

#[tokio::test]
async fn deploy_says_what_to_do_where_there_is_no_docker() {
    let place = Place::new().await;
    let out = folder().await;
    place.onboard(&place.request("bare", 1), &unvalidated(&out)).await.unwrap();
    let mut command = Command::new("/bin/sh");
    // A PATH with what the script needs, and no docker.
    let tools = folder().await;
    for tool in ["dirname", "id", "find", "chmod", "mkdir"] {
        let found = run(Command::new("sh").args(["-c", &format!("command -v {tool}")]));
        let target = String::from_utf8(found).unwrap();
        std::os::unix::fs::symlink(target.trim(), tools.join(tool)).unwrap();
    }
    let done = command.arg(out.join("T01/deploy.sh")).env("PATH", &tools).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("docker is not installed") && said.contains("docs.docker.com"), "{said}");
    // A docker that answers nothing good.
    std::fs::write(tools.join("docker"), "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(tools.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = Command::new("/bin/sh").arg(out.join("T01/deploy.sh")).env("PATH", &tools).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("docker does not answer"), "{said}");
}

#[tokio::test]
async fn the_packages_agent_delivers_unedited_and_takes_pushes_with_the_packages_token() {
    let place = Place::new().await;
    let out = folder().await;
    let request = place.request("cliente3", 1);
    place.onboard(&request, &into(&out)).await.unwrap();
    let dir = out.join("T01");
    let config = dir.join("agent.yaml").display().to_string();
    let before = std::fs::read(dir.join("agent.yaml")).unwrap();
    let check = command_line::agent(&dir, &["check"]);
    assert!(check.status.success(), "{}", command_line::text(&check));

    let log = dir.join("agent.log");
    let mut agent = Role::start(testbed(), &["agent", "run", "--config", &config], &log).unwrap();
    let bearer = |secret: &str| Some(format!("Bearer {secret}"));
    let by_hand =
        ByHand::new(&place.cloud.url(), place.cloud.ca.as_deref(), bearer(key_in(&dir).expose())).unwrap();
    let pos = yaml(&dir.join("pos-agent-config.yaml"));
    let token = pos["gateway"]["push_token"].as_str().unwrap();
    let terminal = ByHand::new(PUSH, None, bearer(token)).unwrap();
    let body = format!(
        r#"{{"metrics":[{{"device_id":"{}","metric":"retail.pos.up","value":1,"timestamp":{}}}]}}"#,
        pos["device_id"].as_str().unwrap(),
        now_ms()
    );
    wait::until("the gateway to take a push", LIMIT, async || {
        if let Some(status) = agent.ended()? {
            return Ok(Some(Err(format!("the agent ended with {status}: {}", agent.said()))));
        }
        Ok((terminal.push(&body, Some("sale-1")).await?.status == 200).then_some(Ok(())))
    })
    .await
    .unwrap()
    .unwrap();
    let stranger = ByHand::new(PUSH, None, bearer(PushToken::issue().expose())).unwrap();
    assert_eq!(stranger.push(&body, None).await.unwrap().status, 401);

    let delivered = wait::until("the first batch", LIMIT, async || {
        let latest = by_hand.get("/v1/stores/T01/latest").await?;
        let text = latest.json.to_string();
        Ok((text.contains("retail.pos.up") && text.contains("gateway")).then_some(latest))
    });
    delivered.await.unwrap_or_else(|e| panic!("{e:#}\n{}", agent.said()));
    let said = agent.said();
    agent.stop().await.unwrap();
    assert_eq!(std::fs::read(dir.join("agent.yaml")).unwrap(), before, "nobody has edited it");
    assert!(!said.contains(&token[13..]) && !said.contains(&key_in(&dir).expose()[25..]));
}
