//! A mail server takes what people get: aiosmtpd decodes each mail with the parser of Python, and is the judge of what it says.
//!
//! The first mail is put off with 451, and comes again; one recipient is refused with 550, which whoever invited her can read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use storepulse_cloud::app::PeopleConfig;
use storepulse_cloud::outbox::MailConfig;

use super::Shown;
use super::people::{PASSWORD, TENANT, admin, ask, expect, nobody};
use super::program::{self, Program};
use crate::by_hand::ByHand;
use crate::cloud::Cloud;
use crate::cluster::Cluster;
use crate::wait;

/// The service looks every five seconds, and tries again after fifteen.
const ARRIVAL: Duration = Duration::from_secs(60);
const PUBLIC_URL: &str = "https://pulse.example.com";

/// What subjects begin with: invitation, reset, changed, sign-up.
const SUBJECTS: [(&str, [&str; 4]); 3] = [
    ("en", ["Your invitation to", "A new password for", "Your password for", "Please confirm your address"]),
    ("es", ["Su invitación a", "Una nueva contraseña para", "Su contraseña para", "Confirme su dirección"]),
    ("pt", ["Seu convite para", "Uma nova senha para", "Sua senha para", "Confirme seu endereço"]),
];

/// A mail as the server has understood it.
#[derive(Debug, Clone, Deserialize)]
struct Mail {
    to: Vec<String>,
    subject: String,
    text: Option<String>,
    html: Option<String>,
    headers: std::collections::BTreeMap<String, String>,
    raw_has_bcc: bool,
}

/// The server, and what it has told.
struct Server {
    _program: Program,
    log: PathBuf,
    port: u16,
}

impl Server {
    async fn start(dir: &Path) -> anyhow::Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (python, script) = (here.join("../target/peers/venv/bin/python"), here.join("peers/smtp.py"));
        let (port_file, log) = (dir.join("port"), dir.join("smtp.log"));
        let args = [
            script.display().to_string(),
            "--port-file".to_owned(),
            port_file.display().to_string(),
            "--reject".to_owned(),
            "nobody@x.example".to_owned(),
            "--defer-first".to_owned(),
            "1".to_owned(),
        ];
        let mut program = Program::start(&python, &args, &[], &log)?;
        let port = wait::until("the mail server to listen", ARRIVAL, async || {
            ensure!(!program.has_ended()?, "it has ended\n{}", program.said());
            Ok(std::fs::read_to_string(&port_file).ok().and_then(|port| port.trim().parse().ok()))
        })
        .await?;
        Ok(Self { _program: program, log, port })
    }

    fn mails(&self) -> anyhow::Result<Vec<Mail>> {
        let log = std::fs::read_to_string(&self.log)?;
        let lines = log.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The mail to this address whose subject begins so.
    async fn mail(&self, to: &str, subject: &str) -> anyhow::Result<Mail> {
        wait::until(&format!("{subject:?} to arrive at {to}"), ARRIVAL, async || {
            let mut mails = self.mails()?.into_iter();
            Ok(mails.find(|mail| mail.to == [to] && mail.subject.starts_with(subject)))
        })
        .await
    }
}

impl Mail {
    /// The secret of the link in the plain text, if the same link stands in the page.
    fn secret(&self, page: &str) -> Option<String> {
        let before = format!("{PUBLIC_URL}/{page}#");
        let of = |text: &str| {
            let (_, behind) = text.split_once(&before)?;
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
            Some(behind[..end.unwrap_or(behind.len())].to_owned())
        };
        let (text, html) = (of(self.text.as_deref()?)?, of(self.html.as_deref()?)?);
        (text == html).then_some(text)
    }

    /// What is wrong with its head.
    fn faults(&self, language: &str) -> Vec<String> {
        let header = |name: &str| self.headers.get(name).map(String::as_str).unwrap_or_default();
        let html = self.html.as_deref().unwrap_or_default();
        [
            ("Auto-Submitted", header("Auto-Submitted") == "auto-generated"),
            ("From", header("From").contains("pulse@example.com")),
            ("Date", !header("Date").is_empty()),
            ("Message-ID", header("Message-ID").ends_with("@example.com>")),
            ("alternatives", header("Content-Type").starts_with("multipart/alternative")),
            ("no Bcc", !self.raw_has_bcc),
            ("the language of the page", html.contains(&format!("lang=\"{language}\""))),
        ]
        .into_iter()
        .filter(|(_, holds)| !holds)
        .map(|(what, _)| format!("{:?}: {what}: {:?}", self.subject, self.headers))
        .collect()
    }
}

pub(super) async fn run(cluster: &Cluster, dir: &Path) -> anyhow::Result<Shown> {
    let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/python");
    let version =
        program::version(&pip, &["-c", "import aiosmtpd; print('aiosmtpd', aiosmtpd.__version__)"])?;
    let server = Server::start(dir).await?;
    let db = cluster.database().await?;
    let people = PeopleConfig {
        mail: Some(MailConfig {
            smtp: format!("smtp://127.0.0.1:{}", server.port).parse().map_err(anyhow::Error::msg)?,
            from: "StorePulse <pulse@example.com>".to_owned(),
            public_url: PUBLIC_URL.to_owned(),
        }),
        public_url: Some(PUBLIC_URL.to_owned()),
        sign_up_plan: Some("basic".to_owned()),
        providers_may_be_private: false,
    };
    let cloud = Cloud::start_reaching(people, &db).await?;
    let admin = admin(&db, &cloud, dir).await?;
    let (mut compared, mut unequal) = (0, Vec::new());
    for (language, subjects) in SUBJECTS {
        for mail in in_language(&cloud, &server, &admin, language, subjects).await? {
            unequal.extend(mail.faults(language));
            compared += 1;
        }
    }
    let refused = json!({ "email": "nobody@x.example", "role": "viewer" });
    expect(201, ask(&admin, Method::POST, "/v1/invitations", &refused).await?)?;
    let why = wait::until("the refusal to be told", ARRIVAL, async || {
        let listed = admin.get("/v1/invitations").await?.json;
        Ok(listed["invitations"][0]["mail_error"].as_str().map(str::to_owned))
    })
    .await?;
    if !why.contains("550") {
        unequal.push(format!("a refused recipient is told as {why:?}"));
    }
    let taken = server.mails()?.len();
    if taken != compared {
        unequal.push(format!("{taken} mails arrived instead of {compared}"));
    }
    cloud.stop().await?;
    let more =
        "in three languages, as text and as a page; the first was put off once; one recipient was refused";
    Ok(Shown { version, series: None, compared, unequal, more: more.to_owned() })
}

/// Every mail that one person may get: invited, her password forgotten and set again, and as somebody who signs up.
async fn in_language(
    cloud: &Cloud,
    server: &Server,
    admin: &ByHand,
    language: &str,
    [invitation, reset, changed, sign_up]: [&str; 4],
) -> anyhow::Result<Vec<Mail>> {
    let (nobody, to) = (nobody(cloud)?, format!("ana.{language}@x.example"));
    let told = async |path: &str, body: Value, status: u16| {
        expect(status, ask(&nobody, Method::POST, path, &body).await?)
    };
    let invited = json!({ "email": to, "role": "viewer", "language": language });
    expect(201, ask(admin, Method::POST, "/v1/invitations", &invited).await?)?;
    let invitation = server.mail(&to, invitation).await?;
    let token = invitation.secret("invitation").context("no link")?;
    let user = format!("ana-{language}");
    told("/v1/invitations/accept", json!({ "token": token, "user_name": user, "password": PASSWORD }), 201)
        .await?;
    told("/v1/password-resets", json!({ "tenant": TENANT, "user": user }), 202).await?;
    let reset = server.mail(&to, reset).await?;
    let token = reset.secret("new-password").context("no link")?;
    let set = json!({ "token": token, "password": "another three words" });
    told("/v1/password-resets/redemption", set, 204).await?;
    let changed = server.mail(&to, changed).await?;
    let new = format!("new.{language}@x.example");
    let wants = json!({ "tenant_id": format!("new-{language}"), "company": "Ñandú & Söhne", "email": new, "language": language });
    told("/v1/sign-ups", wants, 202).await?;
    let sign_up = server.mail(&new, sign_up).await?;
    let token = sign_up.secret("sign-up").context("no link")?;
    let confirmed = json!({ "token": token, "user_name": "eva", "password": PASSWORD });
    told("/v1/sign-ups/confirmation", confirmed, 201).await?;
    Ok(vec![invitation, reset, changed, sign_up])
}
