//! The files of the pages, compiled in. Their address names their hash, so browsers may keep them for good.

use std::sync::LazyLock;

use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

/// Bytes of the hash in an address.
const TAG_BYTES: usize = 6;

pub(super) static STYLE: LazyLock<File> = LazyLock::new(|| {
    File::new(
        "/style.css",
        "text/css; charset=utf-8",
        concat!(include_str!("style.css"), include_str!("../setup/setup.css")),
    )
});
pub(super) static SCRIPT: LazyLock<File> = LazyLock::new(|| {
    File::new(
        "/page.js",
        "text/javascript; charset=utf-8",
        concat!(include_str!("page.js"), include_str!("../setup/copy.js")),
    )
});
pub(super) static ICON: LazyLock<File> =
    LazyLock::new(|| File::new("/icon.svg", "image/svg+xml", include_str!("icon.svg")));

/// One of them.
pub(super) struct File {
    address: String,
    content_type: &'static str,
    pub text: &'static str,
}

impl File {
    fn new(path: &str, content_type: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let tag: String = digest.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self { address: format!("{path}?v={tag}"), content_type, text }
    }

    /// Where a page finds it.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn tell(&self) -> Response {
        let headers: [(HeaderName, &str); 3] = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, self.text).into_response()
    }
}

/// `/style.css`.
pub(crate) async fn show_style() -> Response {
    STYLE.tell()
}

/// `/page.js`.
pub(crate) async fn show_script() -> Response {
    SCRIPT.tell()
}

/// `/icon.svg`.
pub(crate) async fn show_icon() -> Response {
    ICON.tell()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_has_another_address() {
        let address = |text| File::new("/style.css", "text/css", text).address;
        assert_ne!(address("a{}"), address("b{}"));
        assert!(STYLE.address().starts_with("/style.css?v=") && STYLE.address().len() == 13 + 12);
    }

    #[test]
    fn the_files_ask_nobody_else_and_make_nothing_of_text_but_what_the_box_answers() {
        for file in [&*STYLE, &*SCRIPT, &*ICON] {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for banned in [
                "http:",
                "https:",
                "@import",
                "url(",
                "eval(",
                "innerHTML",
                "document.cookie",
                "localStorage",
            ] {
                assert!(!text.contains(banned), "{} holds {banned}", file.address());
            }
        }
    }
}
