//! Where mail leaves, as it is configured.
//!
//! ```text
//! smtp://127.0.0.1:1025                                   as it is, on this machine only
//! smtp+starttls://user:password@mail.shop.example         TLS before anything else is said; port 587
//! smtps://user:password@mail.shop.example                 TLS from the first byte on (RFC 8314); port 465
//! ```
//!
//! In user and password whatever is not a letter or digit may be written as `%40`, and `%` and `:` have to be. The value holds a
//! password, so it is never shown as it was written.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

const FORMS: &str = "smtps://user:password@host[:465], smtp+starttls://user:password@host[:587], or smtp://127.0.0.1[:25] for a \
                     mail server on this machine";

/// How a connection is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// By being on this machine.
    Loopback,
    /// By TLS, which the server has to offer.
    StartTls,
    /// By TLS from the start.
    Tls,
}

impl Security {
    const ALL: [Self; 3] = [Self::Loopback, Self::StartTls, Self::Tls];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Loopback => "smtp",
            Self::StartTls => "smtp+starttls",
            Self::Tls => "smtps",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Loopback => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// A mail server, and who we are there.
#[derive(Clone)]
pub struct SmtpUrl {
    pub(super) security: Security,
    /// A name or an address, that of IPv6 without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// User and password.
    pub(super) login: Option<(String, String)>,
}

impl FromStr for SmtpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{}: {why}; write {FORMS}", without_login(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("it is no URL of a mail server"))?;
        let security = Security::ALL
            .into_iter()
            .find(|known| known.scheme() == scheme)
            .ok_or_else(|| refuse("it does not begin with smtps://, smtp+starttls:// or smtp://"))?;
        // From the right: an address of mail is often the user, and its @ is rarely written as %40.
        let (login, server) = match rest.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, rest),
        };
        let (host, port) = split_port(server.strip_suffix('/').unwrap_or(server))
            .ok_or_else(|| refuse("its host or port cannot be one"))?;
        let port = port.unwrap_or(security.port());
        let login = login.map(read_login).transpose().map_err(|why| refuse(&why))?;
        if security == Security::Loopback && !is_loopback(&host) {
            let why =
                "its host is another machine, and whoever listens on the way there could open people's links";
            return Err(refuse(why));
        }
        Ok(Self { security, host, port, login })
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some services give out a user that is as secret as its password.
        let login = if self.login.is_some() { "…@" } else { "" };
        let scheme = self.security.scheme();
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => write!(f, "{scheme}://{login}[{address}]:{}", self.port),
            Err(_) => write!(f, "{scheme}://{login}{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpUrl({self})")
    }
}

/// What may be shown of a value that could not be read, and whose password may stand anywhere.
fn without_login(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("…", text));
    let is_scheme = scheme.len() <= 16 && scheme.chars().all(|c| c.is_ascii_lowercase() || c == '+');
    let scheme = if is_scheme { scheme } else { "…" };
    let server = rest.rsplit_once('@').map(|(_, server)| server);
    let login = if server.is_some() { "…@" } else { "" };
    let host = match (split_port(server.unwrap_or(rest)), server) {
        (Some((host, _)), _) if host.contains(':') => format!("[{host}]"),
        (Some((host, _)), _) => host,
        (None, Some(server)) => {
            server.chars().take_while(|c| c.is_alphanumeric() || "-._".contains(*c)).take(80).collect()
        }
        // Without an @, what stands there may be the login, and the host what is missing.
        (None, None) => "…".to_owned(),
    };
    format!("{scheme}://{login}{host}")
}

/// User and password, each as it is meant.
fn read_login(text: &str) -> Result<(String, String), String> {
    let (user, password) =
        text.split_once(':').ok_or_else(|| "it has a user without a password".to_owned())?;
    let [user, password] = [user, password].map(decode);
    match (user, password) {
        (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => Ok((user, password)),
        (Some(_), Some(_)) => Err("its user or password is empty".to_owned()),
        _ => Err("its user or password cannot be read: there, % is written as %25".to_owned()),
    }
}

/// What `%40` and the like stand for; none if it is no text afterwards, or one with control characters.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Host and port, if both can be one.
fn split_port(server: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => {
            let (host, port) =
                server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port)));
            (is_host(host).then_some(host)?, port)
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    Some((host.to_ascii_lowercase(), port))
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        for (text, security, host, port, login) in [
            ("smtp://localhost", Security::Loopback, "localhost", 25, None),
            ("smtp://127.8.9.1:1025/", Security::Loopback, "127.8.9.1", 1025, None),
            ("smtp://a:b@[::1]:2525", Security::Loopback, "::1", 2525, Some(("a", "b"))),
            ("smtp+starttls://mail.shop.example", Security::StartTls, "mail.shop.example", 587, None),
            (
                "smtps://ana@x.y:p/a:s@s@Mail.Example",
                Security::Tls,
                "mail.example",
                465,
                Some(("ana@x.y", "p/a:s@s")),
            ),
            (
                "smtps://ana%40x.y:%C3%B1%3A%25@10.0.0.9:4650",
                Security::Tls,
                "10.0.0.9",
                4650,
                Some(("ana@x.y", "ñ:%")),
            ),
            ("smtps://[2001:db8::1]", Security::Tls, "2001:db8::1", 465, None),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!((url.security, &*url.host, url.port), (security, host, port), "{text}");
            assert_eq!(url.login.as_ref().map(|(user, password)| (&**user, &**password)), login, "{text}");
        }
    }

    #[test]
    fn a_url_is_shown_without_who_we_are() {
        for (text, shown) in [
            ("smtps://ana:hunter2@mail.example", "smtps://…@mail.example:465"),
            ("smtp+starttls://hunter2:hunter2@[2001:db8::1]:25", "smtp+starttls://…@[2001:db8::1]:25"),
            ("smtp://localhost:1025", "smtp://localhost:1025"),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("SmtpUrl({shown})"));
        }
    }

    #[test]
    fn in_the_clear_mail_stays_on_this_machine() {
        for host in ["mail.example", "10.0.0.1", "0.0.0.0", "[2001:db8::1]", "localhost.example", "127.1"] {
            let said = format!("smtp://ana:hunter2@{host}:25").parse::<SmtpUrl>().unwrap_err();
            assert!(said.starts_with(&format!("smtp://…@{host}")), "{said}");
            assert!(said.contains("another machine") && said.contains("write smtps://"), "{said}");
            assert!(said.contains("smtp+starttls://"), "{said}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_password() {
        for bad in [
            "",
            "mail.example:25",
            "ana:hunter2@mail.example",
            "http://ana:hunter2@mail.example",
            "hunter2://mail.example",
            "SMTPS://ana:hunter2@mail.example",
            "smtps://",
            "smtps://ana:hunter2",
            "smtps://ana:hunter2@",
            "smtps://ana@hunter2:mail.example",
            "smtps://:hunter2@mail.example",
            "smtps://hunter2:@mail.example",
            "smtps://hunter2@mail.example",
            "smtps://ana:hunter2%@mail.example",
            "smtps://ana:hunter2%+1@mail.example",
            "smtps://ana:hunter2%00@mail.example",
            "smtps://ana:hunter2%ff@mail.example",
            "smtps://ana:hunter2@mail.example:0",
            "smtps://ana:hunter2@mail.example:65536",
            "smtps://ana:hunter2@mail..example",
            "smtps://ana:hunter2@mail example",
            "smtps://ana:hunter2@[mail.example]",
            "smtps://ana:hunter2@[::1]x",
            "smtps://ana:hunter2@mail.example/path",
            "smtps://mail.example?password=hunter2",
        ] {
            let said = bad.parse::<SmtpUrl>().unwrap_err();
            let is_told = said.contains("; write smtps://") && !said.contains("ana");
            // After an @ stands a host, and a host is told.
            assert!(is_told && (!said.contains("hunter2") || bad.contains("@hunter2")), "{bad}: {said}");
        }
    }
}
