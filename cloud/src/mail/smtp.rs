//! Mail leaves over SMTP (RFC 5321), one connection for each: they are few, and a connection that is only used once cannot be in
//! the middle of another mail when somebody stopped waiting for it.
//!
//! | what happened | then |
//! |---|---|
//! | the address is none; 5xx to the recipient or to the mail | `Refused`: it will never be taken |
//! | 4xx; 5xx to us (greeting, TLS, login, sender); no connection; 30 s are over | `Failed`: later it may be |
//!
//! A mail may arrive twice, if the server took it and its answer was lost, but never half.

use std::fmt;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use uuid::Uuid;

use super::Rendered;
use super::message::is_hidden;
use super::url::Security;
pub use super::url::SmtpUrl;

/// For a mail, from the first packet to the server's word that it has it.
const SEND_MAX: Duration = Duration::from_secs(30);
/// For each address of the server's name, so that one that is dead leaves time for the next.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For leaving in good form, when it is decided already what became of the mail.
const QUIT_MAX: Duration = Duration::from_secs(1);
/// Longest part of a server's answer that is told.
const ANSWER_CHARS_MAX: usize = 300;
/// RFC 4954: the server wants to know first who we are, whatever it was asked for.
const LOGIN_REQUIRED: u16 = 530;

/// Why a mail did not leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It will never be taken.
    #[error("{0}")]
    Refused(String),
    /// It may be, later.
    #[error("{0}")]
    Failed(String),
}

/// Brings mail to a server.
#[derive(Clone)]
pub(crate) struct Mailer {
    url: SmtpUrl,
    from: Mailbox,
    /// Where TLS is used: verified against the roots that this machine trusts.
    tls: Option<TlsParameters>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("url", &self.url).field("from", &self.from.to_string()).finish()
    }
}

impl Mailer {
    /// For a server and a sender; where TLS is used, the machine's trusted roots are read.
    pub(crate) fn new(url: &SmtpUrl, from: &str) -> Result<Self, String> {
        let is_one_line = !from.chars().any(is_hidden);
        let from = Some(from)
            .filter(|_| is_one_line)
            .and_then(|from| from.parse().ok())
            .filter(|mailbox: &Mailbox| mailbox.email.to_string().is_ascii())
            .ok_or_else(|| {
                format!(
                    "{from:.200?} cannot be a sender of mail: write it as no-reply@shop.example or Shop <no-reply@shop.example>, \
                     with a host in other letters as xn--…"
                )
            })?;
        let tls = match url.security {
            Security::Loopback => None,
            Security::StartTls | Security::Tls => {
                let made = TlsParameters::new(url.host.clone());
                Some(made.map_err(|e| format!("{url}: TLS cannot be used: {}", told(&e)))?)
            }
        };
        Ok(Self { url: url.clone(), from, tls })
    }

    /// Brings a mail to the server, which then has it and answers for it.
    pub(crate) async fn send(&self, to: &str, mail: &Rendered) -> Result<(), SendError> {
        let message = self.message(to, mail)?;
        match tokio::time::timeout(SEND_MAX, self.bring(&message)).await {
            Ok(Ok(connection)) => {
                leave(connection).await;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                Err(SendError::Failed(format!("{}: it did not take the mail within {SEND_MAX:?}", self.url)))
            }
        }
    }

    /// The mail with its head.
    fn message(&self, to: &str, mail: &Rendered) -> Result<Message, SendError> {
        let refused = |why: &dyn fmt::Display| {
            SendError::Refused(format!("{to:.80?} cannot be an address of mail: {why}"))
        };
        if !to.is_ascii() || to.chars().any(is_hidden) {
            return Err(refused(&"it has letters that are not ASCII, or control characters"));
        }
        let to = to.parse().map_err(|e: lettre::address::AddressError| refused(&e))?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .date_now()
            .message_id(Some(format!("<{}@{}>", Uuid::new_v4(), self.from.email.domain())))
            .subject(mail.subject.as_str())
            // RFC 3834: nobody's machine answers it with a note of absence.
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|e| SendError::Refused(format!("the mail cannot be written: {e}")))
    }

    /// Connects and hands the mail over; the connection is left to be ended.
    async fn bring(&self, message: &Message) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = self.connect().await.map_err(|e| self.failed(&e))?;
        match self.hand_over(&mut connection, message).await {
            Ok(()) => Ok(connection),
            Err(error) => {
                leave(connection).await;
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        // Whoever runs the sender's domain can tell by it who calls; the machine's own name often means nothing outside.
        let hello = ClientId::Domain(self.from.email.domain().to_owned());
        let server = (self.url.host.as_str(), self.url.port);
        let from_start = self.tls.clone().filter(|_| self.url.security == Security::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_MAX), &hello, from_start, None).await?;
        if let (Security::StartTls, Some(tls)) = (self.url.security, self.tls.clone()) {
            connection.starttls(tls, &hello).await?;
        }
        if let Some((user, password)) = &self.url.login {
            let login = Credentials::new(user.clone(), password.clone());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await?;
        }
        Ok(connection)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
    ) -> Result<(), SendError> {
        let envelope = message.envelope();
        let sender = Mail::new(envelope.from().cloned(), Vec::new());
        connection.command(sender).await.map_err(|e| self.failed(&e))?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|e| self.answered(&e))?;
        }
        connection.command(Data).await.map_err(|e| self.answered(&e))?;
        connection.message(&message.formatted()).await.map_err(|e| self.answered(&e))?;
        Ok(())
    }

    /// What is no matter of this mail.
    fn failed(&self, error: &Error) -> SendError {
        SendError::Failed(format!("{}: {}", self.url, told(error)))
    }

    /// What a server says of a recipient or a mail.
    fn answered(&self, error: &Error) -> SendError {
        let is_about_us = error.status().map(u16::from) == Some(LOGIN_REQUIRED);
        if error.is_permanent() && !is_about_us {
            return SendError::Refused(format!("{}: {}", self.url, told(error)));
        }
        self.failed(error)
    }
}

/// Ends a connection. Whether the server says goodbye changes nothing.
async fn leave(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(QUIT_MAX, connection.abort()).await;
}

/// An error in one line, with what the server said.
fn told(error: &Error) -> String {
    error.to_string().chars().map(|c| if is_hidden(c) { ' ' } else { c }).take(ANSWER_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    fn mailer(port: u16) -> Mailer {
        let url: SmtpUrl = format!("smtp://ana:hunter2@127.0.0.1:{port}").parse().unwrap();
        Mailer::new(&url, "Ñandú <no-reply@shop.example>").unwrap()
    }

    fn mail(subject: &str) -> Rendered {
        let (text, html) = ("Olá, Ana!\n".to_owned(), "<p>Olá, Ana!</p>\n".to_owned());
        Rendered { subject: subject.to_owned(), text, html }
    }

    fn head(mail: &Rendered) -> String {
        let message = mailer(25).message("ana@retail.example", mail).unwrap().formatted();
        let text = String::from_utf8(message).unwrap();
        assert!(text.is_ascii(), "{text}");
        text.split_once("\r\n\r\n").unwrap().0.to_owned()
    }

    /// A server that says its lines, one for each that it hears, and then hangs up; its answer to a login is always the same.
    async fn serve(listener: TcpListener, answers: &[&str]) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 here\r\n").await.unwrap();
        for answer in answers {
            let Some(line) = lines.next_line().await.unwrap() else { return };
            write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            if line == "DATA" && answer.starts_with('3') {
                while lines.next_line().await.unwrap().is_some_and(|line| line != ".") {}
                write.write_all(format!("{}\r\n", answers.last().unwrap()).as_bytes()).await.unwrap();
            }
        }
    }

    async fn sent(answers: &[&str]) -> Result<(), SendError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mailer = mailer(listener.local_addr().unwrap().port());
        let mail = mail("Hello");
        tokio::join!(mailer.send("ana@retail.example", &mail), serve(listener, answers)).0
    }

    const HELLO: &str = "250-here\r\n250 AUTH PLAIN LOGIN";

    #[tokio::test]
    async fn what_the_server_takes_is_sent() {
        assert!(sent(&[HELLO, "235 in", "250 from", "250 to", "354 go on", "250 taken"]).await.is_ok());
    }

    #[tokio::test]
    async fn what_the_server_will_never_take_is_refused() {
        for answers in [
            &[HELLO, "235 in", "250 from", "550 5.1.1 nobody"][..],
            &[HELLO, "235 in", "250 from", "250 to", "554 no"],
            &[HELLO, "235 in", "250 from", "250 to", "354 go on", "552 too\x1b[1m big"],
        ] {
            let Err(SendError::Refused(said)) = sent(answers).await else { panic!("{answers:?}") };
            assert!(said.contains("smtp://…@127.0.0.1:") && said.contains("(55"), "{said}");
            assert!(!said.contains("hunter2") && !said.contains(char::is_control), "{said}");
        }
    }

    #[tokio::test]
    async fn whatever_is_no_matter_of_the_mail_has_failed() {
        for answers in [
            &["554 nobody is served"][..],
            &["250 no login here"],
            &[HELLO, "535 5.7.8 who?"],
            &[HELLO, "235 in", "550 not as this sender"],
            &[HELLO, "235 in", "250 from", "450 later"],
            &[HELLO, "235 in", "250 from", "530 log in first"],
            &[HELLO, "235 in", "250 from", "250 to", "354 go on", "451 later"],
            &[HELLO, "235 in"],
            &[],
        ] {
            let Err(SendError::Failed(said)) = sent(answers).await else { panic!("{answers:?}") };
            assert!(said.contains("smtp://…@127.0.0.1:") && !said.contains("hunter2"), "{said}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_a_mail_has_failed() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let answer = mailer(port).send("ana@retail.example", &mail("Hello")).await;
        assert!(matches!(answer, Err(SendError::Failed(_))), "{answer:?}");
    }

    #[test]
    fn a_mail_is_addressed_to_one_who_can_have_mail() {
        for bad in [
            "",
            "ana",
            "ana@",
            "a b@x.y",
            "ana@x.y\r\nBcc: all@x.y",
            "ana@x.y, bo@x.y",
            "Ana <ana@x.y>",
            "аna@x.y",
        ] {
            let answer = mailer(25).message(bad, &mail("Hello"));
            assert!(matches!(answer, Err(SendError::Refused(_))), "{bad}");
        }
    }

    #[test]
    fn the_head_says_from_whom_to_whom_and_that_no_person_wrote_it() {
        let head = head(&mail("Hello"));
        let lines: Vec<_> = head.split("\r\n").collect();
        for line in [
            "From: =?utf-8?b?w5FhbmTDug==?= <no-reply@shop.example>",
            "To: ana@retail.example",
            "Subject: Hello",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(lines.contains(&line), "{line} is not in {head}");
        }
        assert!(lines.iter().any(|line| line.starts_with("Date: ") && line.ends_with(" +0000")), "{head}");
        assert!(
            lines.iter().any(|line| line.starts_with("Message-ID: <") && line.ends_with("@shop.example>")),
            "{head}"
        );
        assert!(lines.iter().any(|line| line.starts_with("Content-Type: multipart/alternative;")), "{head}");
    }

    #[test]
    fn a_subject_of_other_letters_is_encoded() {
        let head = head(&mail("Sua senha para Ñandú"));
        assert!(head.contains("\r\nSubject: Sua senha para =?utf-8?b?"), "{head}");
    }

    #[test]
    fn not_even_a_subject_that_was_not_rendered_ends_its_line() {
        let head = head(&mail("Hello\r\nBcc: x@y\r\n\r\nbody"));
        assert!(!head.to_ascii_lowercase().contains("\nbcc"), "{head}");
        assert!(head.contains("Auto-Submitted"), "{head}");
    }

    #[test]
    fn a_sender_is_one_address_in_one_line() {
        let url: SmtpUrl = "smtp://localhost".parse().unwrap();
        for good in ["no-reply@shop.example", "La Villa <no-reply@shop.example>"] {
            assert!(Mailer::new(&url, good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "shop",
            "a@x.y, b@x.y",
            "Shop <a@x.y>\r\nBcc: b@x.y",
            "Sh\u{202e}op <a@x.y>",
            "a@ñandú.example",
        ] {
            let said = Mailer::new(&url, bad).unwrap_err();
            assert!(said.contains("cannot be a sender of mail"), "{said}");
        }
    }

    #[test]
    fn a_mailer_is_shown_without_its_login() {
        let shown = format!("{:?}", mailer(25));
        assert!(shown.contains("smtp://…@127.0.0.1:25") && !shown.contains("hunter2"), "{shown}");
    }
}
