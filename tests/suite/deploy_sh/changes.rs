//! Starting, upgrading and going back; killed anywhere, and run twice.

use std::process::{Command, Stdio};

use super::{BROKEN, GatewayBox, NEW, OLD, Run};

const UPGRADE: [(&str, &str); 1] = [("STOREPULSE_IMAGE", NEW)];

fn runs(gateway: &GatewayBox, image: &str) {
    let container = gateway.container();
    assert!(container.starts_with(image) && container.contains(" healthy "), "{container}");
}

#[test]
fn run_twice_it_is_the_same() {
    let gateway = GatewayBox::running();
    let (env, container) = (gateway.read(".env"), gateway.container());
    assert_eq!(gateway.deploy(&[], &[]).code, 0);
    assert_eq!((gateway.read(".env"), gateway.container()), (env, container));
    assert!(!gateway.file(".previous").exists(), "nothing was upgraded");
}

#[test]
fn an_upgrade_is_kept_and_rolled_back_and_forth() {
    let gateway = GatewayBox::running();
    gateway.deploy(&[], &UPGRADE).assert_says(0, &["from storepulse/agent:0.1.0 to storepulse/agent:0.2.0"]);
    runs(&gateway, NEW);
    gateway.deploy(&[], &[]).assert_says(0, &[]);
    runs(&gateway, NEW);
    gateway
        .deploy(&["--rollback"], &[])
        .assert_says(0, &["from storepulse/agent:0.2.0 to storepulse/agent:0.1.0"]);
    runs(&gateway, OLD);
    gateway.deploy(&[], &[]).assert_says(0, &[]);
    runs(&gateway, OLD);
    gateway.deploy(&["--rollback"], &[]).assert_says(0, &[]);
    runs(&gateway, NEW);
    assert!(!gateway.file(".upgrade").exists());
}

#[test]
fn going_back_finds_the_image_whose_name_has_moved_on() {
    let gateway = GatewayBox::running();
    gateway.deploy(&[], &UPGRADE).assert_says(0, &[]);
    gateway.pretend(
        "images",
        &format!("{OLD} sha256:other healthy\n{NEW} sha256:new healthy\nx sha256:old healthy\n"),
    );
    gateway.deploy(&["--rollback"], &[]).assert_says(0, &["to sha256:old"]);
    runs(&gateway, "sha256:old");
    gateway.pretend("images", &format!("{OLD} sha256:other healthy\nx sha256:old healthy\n"));
    let before = gateway.container();
    gateway.forget_calls();
    let run = gateway.deploy(&["--rollback"], &[]);
    run.assert_says(1, &["not on this box any more: storepulse/agent:0.2.0", "docker load"]);
    gateway.assert_untouched(&before, &run.said);
}

#[test]
fn a_new_package_counts_more_than_an_image_that_was_asked_for_once() {
    let gateway = GatewayBox::running();
    gateway.deploy(&[], &UPGRADE).assert_says(0, &[]);
    gateway.pretend("images", "storepulse/agent:0.4.0 sha256:four healthy\nx sha256:new healthy\n");
    gateway.write(
        "docker-compose.yml",
        &gateway.read("docker-compose.yml").replace("agent:0.1.0", "agent:0.4.0"),
    );
    gateway.deploy(&[], &[]).assert_says(0, &[]);
    runs(&gateway, "storepulse/agent:0.4.0");
}

#[test]
fn what_does_not_get_healthy_is_taken_back_by_itself() {
    let gateway = GatewayBox::running();
    let env = gateway.read(".env");
    let run = gateway.deploy(&[], &[("STOREPULSE_IMAGE", BROKEN)]);
    run.assert_says(
        1,
        &["its last words", "was ending again and again, and was taken back", "of before is healthy again"],
    );
    runs(&gateway, OLD);
    assert_eq!(gateway.read(".env"), env);
    assert!(!gateway.file(".upgrade").exists() && !gateway.file(".previous").exists());
    gateway.deploy(&[], &[]).assert_says(0, &[]);
    runs(&gateway, OLD);
}

#[test]
fn a_first_start_that_fails_leaves_nothing_running() {
    let gateway = GatewayBox::new();
    let run = gateway.deploy(&[], &[("STOREPULSE_IMAGE", BROKEN)]);
    run.assert_says(1, &["the agent is ending again and again", "its last words are above"]);
    assert_eq!(gateway.container(), "");
}

#[test]
fn a_start_that_docker_refuses_in_an_upgrade_is_told() {
    let gateway = GatewayBox::running();
    gateway.pretend("up-fails", "");
    let run = gateway.deploy(&[], &UPGRADE);
    run.assert_says(1, &["no space left on device", "the agent does not start"]);
    runs(&gateway, OLD);
    gateway.pretend_no_more("up-fails");
    gateway.deploy(&[], &[]).assert_says(0, &[]);
    runs(&gateway, OLD);
    assert!(!gateway.file(".upgrade").exists());
}

#[test]
fn an_upgrade_that_is_killed_anywhere_comes_to_a_good_end_in_the_next_run() {
    killed_everywhere(NEW, &[OLD, NEW], "");
}

#[test]
fn so_does_one_to_an_image_that_does_not_get_healthy() {
    // What comes before is the same whatever the image is.
    killed_everywhere(BROKEN, &[OLD], " tag ");
}

/// Before every call of docker from this one on, and after those that change something.
fn killed_everywhere(image: &str, ends: &[&str], from: &str) {
    let asked = GatewayBox::running();
    asked.deploy(&[], &[("STOREPULSE_IMAGE", image)]);
    let calls = asked.pretended("calls");
    let calls: Vec<&str> = calls.lines().collect();
    let first = calls.iter().position(|call| call.contains(from)).unwrap();
    assert!(calls.len() - first > 8, "{calls:?}");
    for (no, call) in calls.iter().enumerate().skip(first) {
        killed("kill-at", no + 1, image, ends);
        if call.contains(" up ") {
            killed("kill-after", no + 1, image, ends);
        }
    }
}

fn killed(when: &str, at: usize, image: &str, ends: &[&str]) {
    let gateway = GatewayBox::running();
    gateway.pretend(when, &at.to_string());
    let run = gateway.deploy(&[], &[("STOREPULSE_IMAGE", image)]);
    assert_eq!(run.code, -1, "{when} {at} of {image}: {}", run.said);
    gateway.pretend_no_more(when);
    let mut last = gateway.deploy(&[], &[]);
    if last.code != 0 {
        // It went on with what was asked for, and took it back.
        last.assert_says(1, &["was taken back"]);
        last = gateway.deploy(&[], &[]);
    }
    assert_eq!(last.code, 0, "{when} {at} of {image}:\n{}\n{}", run.said, last.said);
    let container = gateway.container();
    assert!(
        ends.iter().any(|end| container.starts_with(end)) && container.contains(" healthy "),
        "{container}"
    );
    assert!(!gateway.file(".upgrade").exists() && !gateway.file(".deploying").exists());
    if container.starts_with(NEW) {
        assert!(gateway.read(".previous").contains(OLD), "it is known what to go back to");
    }
}

#[test]
fn interrupted_by_a_person_it_goes_back_at_once() {
    let gateway = GatewayBox::running();
    gateway.pretend("images", &super::IMAGES.replace("sha256:new healthy", "sha256:new starting"));
    // The first pause of the wait is where the person loses patience.
    gateway.program("sleep", Some("#!/bin/sh\nkill -TERM \"$(cat .deploying/pid)\"\n"));
    let mut run = gateway.command(&[], &[("STOREPULSE_IMAGE", NEW), ("STOREPULSE_WAIT", "600")]);
    let run = Run::of(&run.stdin(Stdio::null()).output().unwrap());
    run.assert_says(1, &["interrupted", "going back to storepulse/agent:0.1.0", "healthy again"]);
    runs(&gateway, OLD);
    assert!(!gateway.file(".upgrade").exists() && !gateway.file(".deploying").exists());
}

#[test]
fn interrupted_because_the_terminal_is_gone_it_goes_back_as_well() {
    let gateway = GatewayBox::running();
    gateway.pretend("images", &super::IMAGES.replace("sha256:new healthy", "sha256:new starting"));
    gateway.program("sleep", Some("#!/bin/sh\nkill -HUP \"$(cat .deploying/pid)\"\n"));
    let (nobody, gone) = std::io::pipe().unwrap();
    drop(nobody);
    let mut run = gateway.command(&[], &[("STOREPULSE_IMAGE", NEW), ("STOREPULSE_WAIT", "600")]);
    let run = run.stdin(Stdio::null()).stdout(gone.try_clone().unwrap()).stderr(gone);
    assert!(!run.status().unwrap().success());
    runs(&gateway, OLD);
    assert!(!gateway.file(".upgrade").exists() && !gateway.file(".deploying").exists());
}

#[test]
fn two_at_once_are_one_too_many() {
    let gateway = GatewayBox::running();
    std::fs::create_dir(gateway.file(".deploying")).unwrap();
    let mut other = Command::new("/bin/sh");
    let mut other = other.args(["-c", "read -r _", "./deploy.sh"]).stdin(Stdio::piped()).spawn().unwrap();
    gateway.write(".deploying/pid", &other.id().to_string());
    let before = gateway.container();
    gateway.deploy(&[], &[]).assert_says(1, &["another deploy.sh is at work here", "wait for it"]);
    assert_eq!(gateway.container(), before);
    drop(other.stdin.take());
    other.wait().unwrap();
    // After a power cut: the number is another program's, ours for example.
    gateway.write(".deploying/pid", &std::process::id().to_string());
    gateway.deploy(&[], &[]).assert_says(0, &["an earlier run was interrupted"]);
    assert!(!gateway.file(".deploying").exists());
}

#[test]
fn a_spool_of_the_folder_stays_where_it_is_and_belongs_to_who_it_did() {
    let gateway = GatewayBox::new();
    std::fs::create_dir(gateway.file("spool")).unwrap();
    gateway.write("spool/spool.db", "samples");
    let owner = std::os::unix::fs::MetadataExt::uid(&gateway.file("spool").metadata().unwrap());
    gateway.deploy(&[], &[]).assert_says(0, &["stays there"]);
    let env = gateway.read(".env");
    assert!(env.contains("STOREPULSE_SPOOL=./spool\n"), "{env}");
    assert!(env.contains(&format!("STOREPULSE_UID={owner}\n")), "{env}");
    gateway.deploy(&[], &UPGRADE).assert_says(0, &[]);
    assert_eq!(gateway.read(".env").matches("STOREPULSE_SPOOL=./spool\n").count(), 1);
    assert_eq!(gateway.read("spool/spool.db"), "samples");
}

#[test]
fn a_changed_configuration_is_another_container() {
    let gateway = GatewayBox::running();
    let sum =
        |env: &str| env.lines().find(|line| line.starts_with("STOREPULSE_CONFIG_SUM=")).unwrap().to_owned();
    let before = sum(&gateway.read(".env"));
    gateway.write("agent.yaml", &format!("{}# changed\n", gateway.read("agent.yaml")));
    gateway.deploy(&[], &[]).assert_says(0, &[]);
    assert_ne!(sum(&gateway.read(".env")), before);
}
