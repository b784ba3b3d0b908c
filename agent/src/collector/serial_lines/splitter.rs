//! From bytes to lines, with a limit on both.

/// Longest line that is read.
pub(super) const LINE_BYTES_MAX: usize = 4_096;

/// What bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line without its end, bytes that are no UTF-8 replaced.
    Line(String),
    /// A line that was too long; it is skipped up to its end.
    TooLong,
}

/// Holds the beginning of a line until its end arrives.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    line: Vec<u8>,
    skipping: bool,
}

impl Splitter {
    /// Takes bytes and gives out the lines that they complete. Empty lines are none.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    if !self.skipping && !self.line.is_empty() {
                        pieces.push(Piece::Line(String::from_utf8_lossy(&self.line).into_owned()));
                    }
                    self.line.clear();
                    self.skipping = false;
                }
                _ if self.skipping => {}
                _ if self.line.len() == LINE_BYTES_MAX => {
                    pieces.push(Piece::TooLong);
                    self.line.clear();
                    self.skipping = true;
                }
                byte => self.line.push(*byte),
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Piece {
        Piece::Line(text.to_owned())
    }

    #[test]
    fn lines_end_with_cr_lf_or_both_wherever_the_bytes_are_cut() {
        let text = b"ONE\r\nTWO\nTHREE\r\r\n\nFOUR";
        let whole = Splitter::default().push(text);
        assert_eq!(whole, [line("ONE"), line("TWO"), line("THREE")]);
        let mut splitter = Splitter::default();
        let bytewise: Vec<_> = text.iter().flat_map(|byte| splitter.push(&[*byte])).collect();
        assert_eq!(bytewise, whole);
        assert_eq!(splitter.push(b"\n"), [line("FOUR")]);
    }

    #[test]
    fn an_endless_line_is_skipped_and_costs_no_memory() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(&[b'x'; 100_000]), [Piece::TooLong]);
        assert!(splitter.line.capacity() <= 2 * LINE_BYTES_MAX);
        assert_eq!(splitter.push(b"xx\nOK\n"), [line("OK")]);
    }

    #[test]
    fn bytes_of_a_wrong_baud_rate_are_lines_without_meaning() {
        assert_eq!(Splitter::default().push(b"\xff\x80\n").len(), 1);
    }
}
