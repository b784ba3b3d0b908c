//! What devices on the network answer that have nothing wrong: each from all that was heard so far, empty if that is no
//! question yet.

/// A receipt printer with nothing wrong: a byte to each `DLE EOT n`.
#[must_use]
pub fn printer(heard: &[u8]) -> Vec<u8> {
    vec![0x12; heard.len() / 3]
}

/// A temperature probe: each register is 225.
#[must_use]
pub fn probe(heard: &[u8]) -> Vec<u8> {
    let Some(request) = heard.get(..12) else { return Vec::new() };
    let bytes = request[11].saturating_mul(2);
    let mut answer = request[..4].to_vec();
    answer.extend([0, bytes + 3, request[6], request[7], bytes]);
    answer.extend([0, 225].repeat(usize::from(bytes / 2)));
    answer
}

/// A UPS on mains.
#[must_use]
pub fn ups(heard: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(heard);
    match text.trim_end() {
        asked if asked.ends_with("LIST VAR ups") => b"BEGIN LIST VAR ups\nVAR ups battery.charge \"100\"\n\
              VAR ups ups.status \"OL\"\nEND LIST VAR ups\n"
            .to_vec(),
        asked if asked.ends_with("LOGOUT") => b"OK Goodbye\n".to_vec(),
        _ => Vec::new(),
    }
}

/// A page of a device.
#[must_use]
pub fn page(heard: &[u8]) -> Vec<u8> {
    http(heard, "application/json", "{\"t\": 4.5}")
}

/// The page of something that is no device, in HTML that would run if it became a page of ours.
#[must_use]
pub fn hostile_page(heard: &[u8]) -> Vec<u8> {
    http(heard, "application/json", "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>")
}

fn http(heard: &[u8], content_type: &str, body: &str) -> Vec<u8> {
    if !heard.ends_with(b"\r\n\r\n") {
        return Vec::new();
    }
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A program with a hundred values for Prometheus.
#[must_use]
pub fn exporter(heard: &[u8]) -> Vec<u8> {
    let lines: String = (0..100).map(|n| format!("box_value_{n} {}\n", heard.len() + n)).collect();
    http(heard, "text/plain; version=0.0.4", &lines)
}
