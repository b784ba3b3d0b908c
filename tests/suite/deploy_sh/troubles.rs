//! What can be wrong before anything is changed. Each is told with what to do, and what runs is left as it is.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;
use storepulse_testbed::devices::Terminal;

use super::{GatewayBox, NEW, OLD};

/// The trouble is told both on a box where nothing runs and on one where the agent does, and changes nothing there.
fn told(code: i32, words: &[&str], make: impl Fn(&GatewayBox)) {
    for gateway in [GatewayBox::new(), GatewayBox::running()] {
        make(&gateway);
        let before = gateway.container();
        let run = gateway.deploy(&[], &[]);
        run.assert_says(code, words);
        gateway.assert_untouched(&before, &run.said);
    }
}

#[test]
fn a_docker_that_does_not_answer() {
    told(1, &["docker does not answer", "systemctl start docker", "group docker"], |gateway| {
        gateway.pretend("no-daemon", "");
    });
}

#[test]
fn no_compose_and_one_that_is_too_old() {
    told(1, &["docker has no \"compose\"", "docker-compose-plugin"], |gateway| {
        gateway.pretend_no_more("compose-version");
    });
    for old in ["2.2.2", "v2.0.1", "1.25.0"] {
        told(1, &["too old", old, "2.3 or newer"], |gateway| gateway.pretend("compose-version", old));
    }
}

#[test]
fn docker_compose_alone_does_as_well() {
    let gateway = GatewayBox::new();
    gateway.pretend("compose-version", "2.2.2");
    gateway.pretend("alone-version", "1.29.2\n");
    gateway.pretend("engine-version", "24.0.5\n");
    let run = gateway.deploy(&[], &[]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert!(gateway.pretended("calls").contains("docker-compose --project-name storepulse up"));
}

#[test]
fn a_docker_that_is_too_new_for_docker_compose_alone() {
    told(1, &["docker-compose 1.29.2 cannot replace a container of docker 28", "plugin"], |gateway| {
        gateway.pretend_no_more("compose-version");
        gateway.pretend("alone-version", "1.29.2\n");
        gateway.pretend("engine-version", "28.2.2\n");
    });
}

#[test]
fn a_file_of_the_package_that_is_missing() {
    for file in ["store.key", "agent.yaml", "docker-compose.yml", "push.token"] {
        told(1, &[file, "missing or empty", "onboarding"], |gateway| gateway.write(file, ""));
    }
}

#[test]
fn a_serial_port_that_the_agent_may_not_open() {
    let port = Terminal::make().unwrap();
    std::fs::set_permissions(&port.name, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    told(1, &["the agent may not open", &port.name, "chgrp", "udev"], |gateway| with_port(gateway, &port));
}

#[test]
fn a_serial_port_that_another_program_has() {
    let port = Terminal::make().unwrap();
    std::fs::set_permissions(&port.name, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut open = File::options();
    let held = open.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&port.name).unwrap();
    let us = format!("held by process {}", std::process::id());
    told(1, &[&port.name, &us, "one reader", "tap"], |gateway| with_port(gateway, &port));
    drop(held);
    let gateway = GatewayBox::new();
    with_port(&gateway, &port);
    let run = gateway.deploy(&[], &[]);
    assert_eq!(run.code, 0, "{}", run.said);
}

#[test]
fn a_serial_port_that_is_not_plugged_in_is_waited_for() {
    let gateway = GatewayBox::new();
    let port = "devices: { a: { scale: { port: /dev/ttyUSB77 } } } # port: /dev/not-this\n";
    // Where the page is by default another test's agent may be.
    gateway.write("agent.yaml", &format!("{port}local: {{ listen: '127.0.0.1:2' }}\n"));
    let run = gateway.deploy(&[], &[]);
    run.assert_says(0, &["/dev/ttyUSB77 is not there now"]);
    assert!(!run.said.contains("not-this"));
}

fn with_port(gateway: &GatewayBox, port: &Terminal) {
    let text = format!("{}\n  scale-1:\n    scale: {{ port: {} }}\n", gateway.read("agent.yaml"), port.name);
    gateway.write("agent.yaml", &text);
}

#[test]
fn an_address_that_another_program_has() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let gateway = GatewayBox::new();
    gateway.write(
        "agent.yaml",
        &gateway.read("agent.yaml").replace("127.0.0.1:1\n", &format!("0.0.0.0:{port}\n")),
    );
    let run = gateway.deploy(&[], &[]);
    run.assert_says(1, &[&format!("port {port} is taken"), "ss -ltnp", "agent.yaml"]);
    gateway.assert_untouched("", &run.said);
    // Where the agent runs, it may listen where it did, and be told to listen elsewhere only if that is free.
    let gateway = GatewayBox::running();
    let before = gateway.container();
    gateway.write(
        "agent.yaml",
        &gateway.read("agent.yaml").replace("127.0.0.1:1\n", &format!("127.0.0.1:{port}\n")),
    );
    let run = gateway.deploy(&[], &[]);
    run.assert_says(1, &[&format!("port {port} is taken")]);
    gateway.assert_untouched(&before, &run.said);
    gateway.write(".listens", &format!("127.0.0.1:{port}\n127.0.0.1:2\n"));
    gateway.deploy(&[], &[]).assert_says(0, &[]);
}

#[test]
fn a_configuration_or_key_that_is_not_right() {
    told(1, &["BAD  key: mistyped", "the configuration is not right", "correct it"], |gateway| {
        gateway.pretend("bad-config", "BAD  key: mistyped\n");
    });
    told(1, &["docker-compose.yml is not understood"], |gateway| gateway.pretend("bad-compose", ""));
}

#[test]
fn a_cloud_that_is_not_reached_or_refuses_the_key() {
    for (why, said) in [("the cloud refuses the key (401)", "401"), ("cannot connect", "cannot connect")] {
        let gateway = GatewayBox::new();
        gateway.pretend("status", why);
        gateway.pretend("status-json", super::HELD);
        gateway.pretend("status-code", "1");
        let run = gateway.deploy(&[], &[]);
        run.assert_says(3, &[said, "keeps what it collects", "doctor", "nothing is lost"]);
        assert!(gateway.container().contains(" healthy "), "it runs, and keeps samples");
    }
}

#[test]
fn a_device_that_is_not_well_is_no_fault_of_the_clouds() {
    let gateway = GatewayBox::new();
    gateway.pretend("status", "scale-1 does not answer\n");
    gateway.pretend("status-code", "1");
    gateway.deploy(&[], &[]).assert_says(0, &["scale-1 does not answer", "takes what is collected"]);
}

#[test]
fn a_disk_that_is_full() {
    let df = "#!/bin/sh\necho head\necho 'dev 1000000 900000 100000 90% /'\n";
    told(1, &["is full: 97 MB are free, 98 are needed", "docker image prune"], |gateway| {
        gateway.program("df", Some(df));
        gateway.write(
            "deploy.sh",
            &gateway.read("deploy.sh").replace("STOREPULSE_FREE_MIN_MB:-300", "NONE:-98"),
        );
    });
}

#[test]
fn a_folder_where_nothing_can_be_written() {
    for gateway in [GatewayBox::new(), GatewayBox::running()] {
        let (before, run_env) = (gateway.container(), gateway.read(".env"));
        // As if there were no room for it, also for root.
        std::fs::create_dir(gateway.file(".env.new")).unwrap();
        let run = gateway.deploy(&[], &[]);
        run.assert_says(1, &[".env cannot be written", "disk full", "nothing was changed"]);
        gateway.assert_untouched(&before, &run.said);
        assert_eq!(gateway.read(".env"), run_env);
    }
}

#[test]
fn an_image_that_cannot_be_had() {
    let gateway = GatewayBox::running();
    let before = gateway.container();
    let run = gateway.deploy(&[], &[("STOREPULSE_IMAGE", "storepulse/agent:9.9.9")]);
    run.assert_says(1, &["9.9.9 cannot be had", "docker load", "left as it is"]);
    gateway.assert_untouched(&before, &run.said);
    gateway.pretend("registry", "storepulse/agent:9.9.9 sha256:far healthy\n");
    let run = gateway.deploy(&[], &[("STOREPULSE_IMAGE", "storepulse/agent:9.9.9")]);
    assert_eq!(run.code, 0, "{}", run.said);
}

#[test]
fn the_agent_of_another_store() {
    let gateway = GatewayBox::running();
    gateway.pretend("labels", "la-villa/T02");
    let before = gateway.container();
    let run = gateway.deploy(&[], &[]);
    run.assert_says(1, &["another store runs on this box: la-villa/T02", "docker rm"]);
    gateway.assert_untouched(&before, &run.said);
}

#[test]
fn nothing_to_go_back_to_and_words_that_are_none() {
    let gateway = GatewayBox::running();
    let before = gateway.container();
    let run = gateway.deploy(&["--rollback"], &[]);
    run.assert_says(1, &["nothing to go back to"]);
    gateway.assert_untouched(&before, &run.said);
    gateway.deploy(&["--upgrade"], &[]).assert_says(2, &["--rollback", "STOREPULSE_IMAGE"]);
}

#[test]
fn secrets_that_others_can_read_are_corrected() {
    let gateway = GatewayBox::new();
    gateway.chmod(&gateway.file("store.key"), 0o644);
    gateway.deploy(&[], &[]).assert_says(0, &["store.key could be read by others; corrected"]);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&gateway.file("store.key").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let owner = std::os::unix::fs::MetadataExt::uid(&gateway.file("store.key").metadata().unwrap());
    assert!(gateway.read(".env").contains(&format!("STOREPULSE_UID={owner}\n")), "the agent can read it");
    assert_ne!(owner, 0, "and is not root");
}

#[test]
fn check_starts_nothing() {
    for gateway in [GatewayBox::new(), GatewayBox::running()] {
        let (before, env) = (gateway.container(), gateway.read(".env"));
        let run = gateway.deploy(&["--check"], &[("STOREPULSE_IMAGE", NEW)]);
        run.assert_says(0, &["All is well; nothing was started."]);
        gateway.assert_untouched(&before, &run.said);
        assert_eq!(gateway.read(".env"), env);
    }
    assert!(GatewayBox::running().container().starts_with(OLD));
}

#[test]
fn images_and_package_speak_of_the_same_version_and_user() {
    let read = |name: &str| {
        std::fs::read_to_string(format!("{}/../deploy/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    for dockerfile in ["store/Dockerfile", "cloud/Dockerfile"] {
        let text = read(dockerfile);
        let version = concat!("ARG VERSION=", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(text.matches(version).count(), 2, "{dockerfile}: the version of the workspace");
        assert!(text.contains("FROM scratch\n") && text.contains("USER 65532:65532\n"), "{dockerfile}");
        assert!(text.contains("\nHEALTHCHECK ") && text.contains("\", \"health\"]\n"), "{dockerfile}");
    }
    assert!(read("images/build.sh").contains("\nuser=65532\n"));
    let compose = read("store/docker-compose.yml");
    assert!(compose.contains("STOREPULSE_UID:-65532") && !compose.contains("privileged: true"));
}

/// What could not be tried is no success, for people and for programs.
#[test]
fn the_proof_with_a_real_engine_says_so_where_there_is_none() {
    let nobody = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}/docker.sock", nobody.path().display());
    // With the client that this machine has, if any, and with none.
    for path in [None, Some(nobody.path())] {
        let mut command = std::process::Command::new(crate::setting::testbed());
        command.args(["engine", "--json"]).env("DOCKER_HOST", &socket);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let run = super::Run::of(&command.output().unwrap());
        run.assert_says(69, &["there is no Docker engine here, so nothing was tried", "\"ok\":false"]);
        assert!(!run.said.contains("everything holds"));
    }
}
