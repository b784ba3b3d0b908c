//! A scale that is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::weighing::Answer;
use super::{Protocol, Settings, cas, nci, toledo};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::parse::Parsed;
use crate::collector::poll::{Probe, Reading};
use crate::collector::probe::{Introduction, is_answer};
use crate::collector::serial::{Bus, Line};
use crate::collector::tape::Tape;

// All that is ever written.
const WEIGHT_8217: &[u8] = b"W";
const WEIGHT_NCI: &[u8] = b"W\r";
const ENQ: &[u8] = b"\x05";
const DC1: &[u8] = b"\x11";
const STX: &[u8] = b"\x02";

/// What is put to a stranger.
pub(super) const INTRODUCTIONS: &[Introduction] = &[
    introduction(
        "a scale that speaks Toledo 8217",
        &Line::SEVEN_E_ONE,
        WEIGHT_8217,
        &["protocol: toledo_8217"],
        |bytes| is_answer(toledo::standard(bytes)),
    ),
    introduction("a scale that speaks NCI", &Line::SEVEN_E_ONE, WEIGHT_NCI, &["protocol: nci"], |bytes| {
        is_answer(nci::answer(bytes))
    }),
    introduction("a scale by Toledo do Brasil", &Line::EIGHT_N_ONE, ENQ, &["protocol: toledo_br"], |bytes| {
        is_answer(toledo::brazil(bytes, toledo::DECIMALS))
    }),
    introduction("a scale by CAS", &Line::EIGHT_N_ONE, ENQ, &["protocol: cas"], |bytes| {
        is_answer(cas::ready(bytes))
    }),
];

const fn introduction(
    what: &'static str,
    lines: &'static [Line],
    request: &'static [u8],
    settings: &'static [&'static str],
    is_answer: fn(&[u8]) -> Parsed<()>,
) -> Introduction {
    Introduction { what, lines, tcp: None, request, is_answer, kind: "scale", settings }
}

/// How often a scale of CAS may say that it is to be asked again.
const READY_ASKED_MAX: u32 = 3;
/// Questions of one reading.
pub(super) const QUESTIONS_MAX: u32 = READY_ASKED_MAX + 1;
/// What opening a port may take.
pub(super) const OPENING_MAX: Duration = Duration::from_secs(2);
/// Longest answer; the longest frame has half of it.
const ANSWER_BYTES_MAX: usize = 64;

/// The scale, and what has been counted.
pub(super) struct Asked<'a> {
    settings: &'a Settings,
    bus: Arc<Bus>,
    tape: &'a Tape,
    counts: Counts,
}

impl<'a> Asked<'a> {
    pub(super) fn new(settings: &'a Settings, bus: Arc<Bus>, tape: &'a Tape) -> Self {
        Self { settings, bus, tape, counts: Counts::new(settings) }
    }

    async fn ask<T>(&self, bytes: &[u8], parse: impl Fn(&[u8]) -> Parsed<T>) -> Result<T, Fault> {
        self.bus.ask(self.tape, bytes, (Duration::ZERO, self.settings.timeout), ANSWER_BYTES_MAX, parse).await
    }

    async fn answer(&self) -> Result<Answer, Fault> {
        let brazil = |bytes: &[u8]| toledo::brazil(bytes, self.settings.decimals);
        match self.settings.protocol {
            Protocol::Toledo8217 => self.ask(WEIGHT_8217, toledo::standard).await,
            Protocol::Nci => self.ask(WEIGHT_NCI, nci::answer).await,
            Protocol::ToledoBr => self.ask(ENQ, brazil).await,
            Protocol::ToledoBrP06 => self.ask(STX, brazil).await,
            Protocol::Cas => self.cas().await,
            Protocol::CasStream => Err(Fault::new(FaultKind::Internal, "cas_stream is not asked")),
        }
    }

    async fn cas(&self) -> Result<Answer, Fault> {
        for _ in 0..READY_ASKED_MAX {
            if self.ask(ENQ, cas::ready).await? == cas::Ready::Yes {
                return self.ask(DC1, cas::asked).await;
            }
        }
        let text = format!("the scale is not ready to tell its weight, asked {READY_ASKED_MAX} times");
        Err(Fault::new(FaultKind::Nak, text))
    }
}

impl Probe for Asked<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let answer = self.answer().await?;
        let now = Instant::now();
        self.counts.note(answer, now)?;
        Ok(self.counts.reading(now))
    }

    fn is_gone(&mut self) -> bool {
        self.bus.is_gone()
    }
}
