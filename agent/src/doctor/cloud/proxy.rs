//! A proxy: where it is, and whether it lets us through to the cloud (`CONNECT`, RFC 9110, 9.3.6). What it is asked is only that.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::way;

/// For the proxy to connect to the cloud.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A proxy, as a URL names it. A password in it is used, and never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    host: String,
    port: u16,
    /// `Basic …`.
    credential: Option<String>,
    /// Plain HTTP to the proxy; another scheme cannot be looked through here.
    is_plain: bool,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`, with or without the scheme.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = reqwest::Url::parse(&text).ok()?;
        let usual = match url.scheme() {
            "http" => 80,
            "https" => 443,
            scheme if scheme.starts_with("socks") => 1_080,
            _ => return None,
        };
        let credential = (!url.username().is_empty()).then(|| {
            let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
            format!("Basic {}", base64(pair.as_bytes()))
        });
        let host = url.host_str()?.to_owned();
        // `http://proxy:80` has no port, as it is the usual one.
        Some(Self { host, port: url.port().unwrap_or(usual), credential, is_plain: url.scheme() == "http" })
    }

    /// `host:port`.
    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A stream to the target through it; `None` if this proxy is of a kind that cannot be looked through.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<Option<TcpStream>, String> {
        let addresses =
            way::resolve(&self.host, self.port).await.map_err(|why| format!("{}: {why}", self.host))?;
        let mut stream = way::connect(&addresses).await?;
        if !self.is_plain {
            return Ok(None);
        }
        let credential = self
            .credential
            .as_ref()
            .map(|value| format!("Proxy-Authorization: {value}\r\n"))
            .unwrap_or_default();
        let asked = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{credential}\r\n");
        let answered = tokio::time::timeout(LIMIT, async {
            stream.write_all(asked.as_bytes()).await?;
            head(&mut stream).await
        });
        let head = match answered.await {
            Err(_) => return Err(format!("no answer within {}", humantime::format_duration(LIMIT))),
            Ok(Err(error)) => return Err(error.to_string()),
            Ok(Ok(head)) => head,
        };
        match status(&head) {
            Some(200..=299) => Ok(Some(stream)),
            Some(407) => Err("407: it wants a user and a password".to_owned()),
            Some(status) => Err(format!("{status}: it does not let us through")),
            None => Err("it is no HTTP proxy".to_owned()),
        }
    }
}

async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        // What comes behind the head is the cloud's.
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// `%40` is `@`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let all =
            group.iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * place)) as usize & 0x3f];
            text.push(if place > group.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_people_write_them() {
        for (text, shown) in [
            ("http://proxy.shop:3128", "proxy.shop:3128"),
            ("proxy.shop:8080/", "proxy.shop:8080"),
            ("http://10.0.0.1", "10.0.0.1:80"),
            ("socks5://10.0.0.1", "10.0.0.1:1080"),
        ] {
            assert_eq!(Proxy::parse(text).unwrap().shown(), shown, "{text}");
        }
        assert_eq!(Proxy::parse("ftp://x"), None);
        let with_password = Proxy::parse("http://ana:s%40y@proxy:1").unwrap();
        assert_eq!(with_password.credential.as_deref(), Some("Basic YW5hOnNAeQ=="));
        assert!(!with_password.shown().contains("ana"));
    }

    #[test]
    fn base64_is_that_of_its_standard() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
