//! The screen that a command writes to: how wide it is, and whether it shows colours.
//!
//! Colours only on a terminal, and only without `NO_COLOR` (<https://no-color.org>). Text that devices and other programs
//! had a part in goes through [`plain`], so that nobody else moves the cursor.

use std::borrow::Cow;
use std::io::IsTerminal as _;

/// Columns where there is no terminal.
const WIDTH: usize = 80;
/// The narrowest that lines are made for.
const WIDTH_MIN: usize = 32;
/// The widest: longer lines are hard to read.
const WIDTH_MAX: usize = 140;

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// It is broken.
    Bad,
    /// It needs a hand.
    Warn,
    /// Beside the point, or old.
    Dim,
    /// A heading.
    Bold,
}

/// Where a command writes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    width: usize,
    has_colours: bool,
}

impl Screen {
    /// The standard output of this process.
    pub(crate) fn stdout() -> Self {
        #[expect(clippy::disallowed_methods, reason = "it tells how people want to read, not what is done")]
        let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size_of(std::io::stdout())
            .map_or(WIDTH, |(terminal_size::Width(columns), _)| usize::from(columns));
        let is_dumb = is_set("TERM").is_some_and(|term| term == "dumb");
        Self::new(width, is_terminal && !is_dumb && is_set("NO_COLOR").is_none())
    }

    /// One of this width, in columns.
    pub(crate) fn new(width: usize, has_colours: bool) -> Self {
        Self { width: width.clamp(WIDTH_MIN, WIDTH_MAX), has_colours }
    }

    /// Columns of a line.
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// The text in the colour of its meaning, where there are colours.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let text = plain(text);
        if !self.has_colours || text.is_empty() {
            return text.into_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Warn => "33",
            Tone::Dim => "2",
            Tone::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The text in lines of this screen, all of them behind so many blanks; words longer than a line are cut.
    pub(crate) fn wrap(&self, indent: usize, text: &str) -> Vec<String> {
        let room = self.width.saturating_sub(indent).max(8);
        let mut lines: Vec<String> = Vec::new();
        for word in plain(text).split_whitespace() {
            match lines.last_mut() {
                Some(line) if columns(line) + 1 + columns(word) <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(cut(word, room)),
            }
        }
        let blanks = " ".repeat(indent);
        lines.into_iter().map(|line| format!("{blanks}{line}")).collect()
    }
}

/// Columns that a text takes: every character one, which holds for the letters of our languages.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The text, shortened to so many columns with an `…` if it is longer.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let text = plain(text);
    if columns(&text) <= width {
        return text.into_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The text, cut or filled up with blanks to so many columns.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let short = cut(text, width);
    let missing = width.saturating_sub(columns(&short));
    short + &" ".repeat(missing)
}

/// The text without anything that a terminal would obey.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(is_obeyed, " "))
}

/// Control characters, and those that turn the direction of what follows.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        let (plain, coloured) = (Screen::new(80, false), Screen::new(80, true));
        for tone in [Tone::Good, Tone::Bad, Tone::Warn, Tone::Dim, Tone::Bold] {
            assert_eq!(plain.paint(tone, "fridge"), "fridge");
            let painted = coloured.paint(tone, "fridge");
            assert!(painted.starts_with("\u{1b}[") && painted.ends_with("m") && painted.contains("fridge"));
        }
        assert_eq!(coloured.paint(Tone::Bad, ""), "");
    }

    #[test]
    fn what_others_said_moves_no_cursor() {
        let evil = "x\u{1b}[2J\r\ny\u{202e}z\u{7}";
        for shown in [Screen::new(80, false).paint(Tone::Bad, evil), cut(evil, 80), fit(evil, 80)] {
            assert!(!shown.contains(is_obeyed), "{shown:?}");
        }
        assert_eq!(Screen::new(80, true).paint(Tone::Dim, evil).matches('\u{1b}').count(), 2, "only ours");
        assert!(Screen::new(80, true).wrap(0, evil).iter().all(|line| !line.contains(is_obeyed)));
    }

    #[test]
    fn lines_end_at_the_width() {
        let screen = Screen::new(40, false);
        let text = "Aperte a alavanca até o fim e espere um minuto; a impressora volta a responder sozinha.";
        let lines = screen.wrap(4, text);
        assert!(lines.len() == 3 && lines.iter().all(|line| columns(line) <= 40 && line.starts_with("    ")));
        assert_eq!(lines.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" "), text);
        assert_eq!(screen.wrap(0, &"x".repeat(90)), [format!("{}…", "x".repeat(39))]);
        assert_eq!((cut("refrigeração", 6).as_str(), cut("ação", 4).as_str()), ("refri…", "ação"));
        assert_eq!(fit("ação", 6), "ação  ");
        assert_eq!((Screen::new(3, false).width(), Screen::new(900, false).width()), (WIDTH_MIN, WIDTH_MAX));
    }
}
