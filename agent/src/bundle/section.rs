//! A part of a bundle: text without secrets, of a limited size, which says where it was cut.
//!
//! Nothing gets in but through here, and everything is redacted before it is measured and cut: half a secret is one too.

use maud::{Markup, PreEscaped, html};

use super::redact::Redactor;
use super::told::NOTHING;

/// Which end of a text is kept if it is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
}

/// A part, with a heading.
pub(super) struct Section<'a> {
    pub id: &'static str,
    pub title: &'static str,
    /// Shown open when the page is opened.
    pub is_open: bool,
    redactor: &'a Redactor,
    bytes_max: usize,
    body: String,
    cuts: Vec<String>,
}

impl<'a> Section<'a> {
    pub(super) fn new(id: &'static str, title: &'static str, kib_max: usize, redactor: &'a Redactor) -> Self {
        let body = String::new();
        Self { id, title, is_open: false, redactor, bytes_max: kib_max << 10, body, cuts: Vec::new() }
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// What was left out of it.
    pub(super) fn cuts(&self) -> &[String] {
        &self.cuts
    }

    /// A paragraph.
    pub(super) fn say(&mut self, text: &str) {
        self.add("a paragraph", html! { p { (self.redactor.clean(text)) } });
    }

    /// A paragraph in a style of the page's.
    pub(super) fn say_as(&mut self, class: &'static str, text: &str) {
        self.add("a paragraph", html! { p class=(class) { (self.redactor.clean(text)) } });
    }

    /// Names and what they are.
    pub(super) fn pairs(&mut self, pairs: &[(&str, String)]) {
        let redactor = self.redactor;
        let row =
            |(name, value): &(&str, String)| html! { tr { th { (name) } td { (redactor.clean(value)) } } };
        self.rows(&html! {}, pairs.iter().map(row));
    }

    /// A table; on a phone each row is a list, with its heads in front.
    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let redactor = self.redactor;
        let head = html! { tr class="heads" { @for head in heads { th { (head) } } } };
        let cell = |(head, cell): (&&str, &String)| {
            let is_empty = cell.is_empty() || cell == NOTHING;
            html! { td data-head=(head) class=[is_empty.then_some("none")] { (redactor.clean(cell)) } }
        };
        let row = |row: &Vec<String>| html! { tr class="row" { @for pair in heads.iter().zip(row) { (cell(pair)) } } };
        self.rows(&head, rows.iter().map(row));
    }

    /// Lines as they are.
    pub(super) fn lines<T: AsRef<str>>(&mut self, lines: &[T], keep: Keep) {
        let room = self.room("<pre></pre>");
        let mut in_order = lines.iter();
        let (mut kept, mut bytes) = (Vec::new(), 0);
        // One by one: a log can be far longer than what there is room for.
        while let Some(line) = if keep == Keep::First { in_order.next() } else { in_order.next_back() } {
            let line = escape(&self.redactor.clean(line.as_ref()));
            bytes += line.len() + 1;
            if bytes > room {
                break;
            }
            kept.push(line);
        }
        if kept.len() < lines.len() {
            let which = if keep == Keep::First { "last" } else { "first" };
            self.cuts.push(format!("the {which} {} of {} lines", lines.len() - kept.len(), lines.len()));
        }
        if keep == Keep::Last {
            kept.reverse();
        }
        if !kept.is_empty() {
            self.body.push_str(&html! { pre { (PreEscaped(kept.join("\n"))) } }.into_string());
        }
    }

    /// A text, line by line.
    pub(super) fn text(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        self.lines(&lines, Keep::First);
    }

    /// JSON, for machines.
    pub(super) fn json(&mut self, value: &serde_json::Value) {
        let value = self.redactor.clean_value(value.clone());
        self.text(&serde_json::to_string_pretty(&value).unwrap_or_else(|error| error.to_string()));
    }

    fn rows(&mut self, head: &Markup, rows: impl ExactSizeIterator<Item = Markup>) {
        let room = self.room("<div class=\"wide\"><table></table></div>").saturating_sub(head.0.len());
        let all = rows.len();
        let mut bytes = 0;
        let fits = |row: &Markup| {
            bytes += row.0.len();
            bytes <= room
        };
        let kept: Vec<Markup> = rows.take_while(fits).collect();
        if kept.len() < all {
            self.cuts.push(format!("the last {} of {all} rows", all - kept.len()));
        }
        if !kept.is_empty() {
            let table = html! { div class="wide" { table { (head) @for row in &kept { (row) } } } };
            self.body.push_str(&table.into_string());
        }
    }

    fn add(&mut self, what: &str, markup: Markup) {
        if markup.0.len() > self.room("") {
            self.cuts.push(what.to_owned());
        } else {
            self.body.push_str(&markup.0);
        }
    }

    fn room(&self, around: &str) -> usize {
        self.bytes_max.saturating_sub(self.body.len() + around.len())
    }

    /// As it stands on the page.
    pub(super) fn render(&self) -> Markup {
        html! {
            section id=(self.id) {
                details open[self.is_open] {
                    summary { h2 { (self.title) } " " span class="size" { (size(self.bytes())) } }
                    (PreEscaped(&self.body))
                    @for cut in &self.cuts { p class="cut" { "Cut: " (cut) " left out, for want of room." } }
                }
            }
        }
    }
}

fn escape(text: &str) -> String {
    html! { (text) }.into_string()
}

/// Bytes, for people.
pub(crate) fn size(bytes: usize) -> String {
    if bytes < 1 << 10 { format!("{bytes} bytes") } else { format!("{} KiB", bytes.div_ceil(1 << 10)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_cut_at_whole_lines_and_rows_and_that_is_said() {
        let redactor = Redactor::default();
        let lines: Vec<String> = (0..1000).map(|n| format!("line {n} <&>")).collect();
        for (keep, there, gone, said) in [
            (Keep::First, "line 0 ", "line 999 ", "the last"),
            (Keep::Last, "line 999 ", "line 0 ", "the first"),
        ] {
            let mut section = Section::new("x", "X", 4, &redactor);
            section.lines(&lines, keep);
            let page = section.render().into_string();
            assert!(page.contains(there) && !page.contains(gone) && page.contains("&lt;&amp;&gt;"), "{page}");
            assert!(section.bytes() <= 4 << 10 && section.cuts()[0].contains(said), "{:?}", section.cuts());
            assert!(page.contains("left out"));
        }
        let mut section = Section::new("x", "X", 4, &redactor);
        section.table(&["A"], &lines.iter().map(|line| vec![line.clone()]).collect::<Vec<_>>());
        section.say(&"x ".repeat(5_000));
        assert!(section.bytes() <= 4 << 10 && section.cuts().len() == 2);
        assert!(section.render().into_string().contains("<td data-head=\"A\">line 0 "));
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_half() {
        let mut redactor = Redactor::default();
        redactor.add("CANARY-long-secret");
        for before in 0..40 {
            let mut section = Section::new("x", "X", 1, &redactor);
            section.lines(
                &["a ".repeat(485) + &"b".repeat(before), "CANARY-long-secret".to_owned()],
                Keep::First,
            );
            assert!(!section.render().into_string().contains("CANARY"));
        }
    }
}
