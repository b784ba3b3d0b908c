//! The HTML of a mail: one column, all style inline, as many readers of mail drop everything else.
//!
//! Text and background have no colour of their own, so a reader's dark mode shows its own. The brand's colour is on the line at the
//! top and on the button, whose letters are white or black, whichever is the easier to read on it.

use super::blanks::Blank;
use super::{Brand, Language};

/// Where a tenant has none, or none that is one.
const DEFAULT_COLOUR: &str = "#1f6feb";
const LINK_STYLE: &str = "word-break:break-all";

/// A page that is written from top to bottom.
pub(super) struct Page {
    html: String,
    colour: String,
}

impl Page {
    /// Begins it with the tenant's name; all values are escaped here.
    pub(super) fn new(language: Language, brand: &Brand, title: &str) -> Self {
        let (title, tenant) = (escape(title), escape(&super::message::one_line(&brand.name)));
        let colour = checked_colour(&brand.colour).unwrap_or(DEFAULT_COLOUR).to_owned();
        let html = format!(
            "<!doctype html>\n\
             <html lang=\"{language}\">\n\
             <head>\n\
             <meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"supported-color-schemes\" content=\"light dark\">\n\
             <title>{title}</title>\n\
             </head>\n\
             <body style=\"margin:0;padding:1.5rem\">\n\
             <div lang=\"{language}\" style=\"max-width:36rem;margin:0 auto;padding-top:1rem;border-top:4px solid {colour};\
             font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:1rem;line-height:1.5\">\n\
             <p style=\"margin:0 0 1.5rem;font-size:1.25rem;font-weight:600\">{tenant}</p>\n"
        );
        Self { html, colour }
    }

    /// Adds a paragraph that is HTML already.
    pub(super) fn paragraph(&mut self, html: &str) {
        self.html.push_str(&format!("<p style=\"margin:0 0 1rem\">{html}</p>\n"));
    }

    /// Adds a button that opens the link, and the link in clear for whoever cannot press it.
    pub(super) fn button(&mut self, link: &str, label: &str, or_else: &str) {
        let (link, label, or_else) = (escape(link), escape(label), escape(or_else));
        let (colour, letters) = (&self.colour, letters_on(&self.colour));
        self.html.push_str(&format!(
            "<p style=\"margin:1.5rem 0\"><a href=\"{link}\" style=\"display:inline-block;padding:.75rem 1.5rem;border-radius:.375rem;\
             background:{colour};color:{letters};font-weight:600;text-decoration:none\">{label}</a></p>\n\
             <p style=\"margin:0 0 1rem;font-size:.875rem\">{or_else}<br>\n\
             <a href=\"{link}\" style=\"{LINK_STYLE}\">{link}</a></p>\n"
        ));
    }

    /// The whole page.
    pub(super) fn end(mut self) -> String {
        self.html.push_str("</div>\n</body>\n</html>\n");
        self.html
    }
}

/// Words and values as they stand in a paragraph.
pub(super) fn show(blank: Option<Blank>, text: &str) -> String {
    let text = escape(text);
    match blank {
        Some(Blank::Link) => format!("<a href=\"{text}\" style=\"{LINK_STYLE}\">{text}</a>"),
        _ => text.replace('\n', "<br>\n"),
    }
}

/// Text that is only text, between tags and within quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A colour, if it is `#` and six hexadecimal digits: what else were in it would be CSS.
fn checked_colour(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('#')?;
    (digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

/// White or black, whichever has the higher contrast to a colour (WCAG 2, relative luminance).
fn letters_on(colour: &str) -> &'static str {
    let part = |at: usize| {
        let digits = colour.get(at..at + 2).unwrap_or_default();
        let share = f64::from(u8::from_str_radix(digits, 16).unwrap_or_default()) / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
    // Where both contrasts, 1.05 / (l + 0.05) and (l + 0.05) / 0.05, are the same.
    if luminance > 0.179 { "#000000" } else { "#ffffff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(colour: &str) -> String {
        let brand = Brand { name: "La Villa".to_owned(), colour: colour.to_owned() };
        let mut page = Page::new(Language::En, &brand, "Title");
        page.button("https://cloud.example/", "Open", "Or:");
        page.end()
    }

    #[test]
    fn only_a_colour_gets_into_the_style() {
        assert!(page("#0A7d33").contains("background:#0A7d33;color:#ffffff"));
        for bad in
            ["", "red", "#fff", "#12345g", "#1234567", "#12345é", "#000000;x:url(//x.y)", "\"><script>"]
        {
            let html = page(bad);
            assert_eq!(html.matches(DEFAULT_COLOUR).count(), 2, "{bad}");
            assert!(!html.contains("x.y") && !html.contains("<script"), "{bad}");
        }
    }

    #[test]
    fn a_buttons_letters_can_be_read_on_it() {
        for (colour, letters) in [
            ("#000000", "#ffffff"),
            ("#1f6feb", "#ffffff"),
            ("#0a7d33", "#ffffff"),
            ("#ffffff", "#000000"),
            ("#ff8c00", "#000000"),
            ("#777777", "#000000"),
            ("#757575", "#ffffff"),
        ] {
            assert_eq!(letters_on(colour), letters, "{colour}");
        }
    }
}
