//! Printers: HOST-RESOURCES-MIB (RFC 2790) for what is wrong with them, Printer-MIB (RFC 3805) for what is left in them.

use super::error_state::{self, Bit, ErrorState};
use super::label::index;
use super::value::{Name, Value};
use super::{Device, add, below};
use crate::collector::changes::Condition;
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::poll::Reading;

const DEVICE_STATUS: &[u32] = &[1, 3, 6, 1, 2, 1, 25, 3, 2, 1, 5];
const ERROR_STATE: &[u32] = &[1, 3, 6, 1, 2, 1, 25, 3, 5, 1, 2];
const PRINTER: &[u32] = &[1, 3, 6, 1, 2, 1, 43];
/// Below [`PRINTER`].
const TRAY_MAX: &[u32] = &[8, 2, 1, 9];
const TRAY_LEVEL: &[u32] = &[8, 2, 1, 10];
const COUNTER_UNIT: &[u32] = &[10, 2, 1, 3];
const LIFE_COUNT: &[u32] = &[10, 2, 1, 4];
const SUPPLY_MAX: &[u32] = &[11, 1, 1, 8];
const SUPPLY_LEVEL: &[u32] = &[11, 1, 1, 9];

const PRINTERS_MAX: usize = 4;
const SUPPLIES_MAX: usize = 24;
const TRAYS_MAX: usize = 16;

/// What is a yes or a no.
const FLAGS: &[(Bit, &str, Condition)] = &[
    (
        Bit::DoorOpen,
        "retail.printer.cover.open",
        Condition {
            event: "printer.cover",
            begins: "a door or cover is open",
            ends: "the door or cover is closed",
        },
    ),
    (
        Bit::Jammed,
        "retail.printer.jammed",
        Condition { event: "printer.jam", begins: "paper jam", ends: "the paper jam is over" },
    ),
    (
        Bit::Offline,
        "retail.printer.offline",
        Condition {
            event: "printer.offline",
            begins: "the printer is offline",
            ends: "the printer is online",
        },
    ),
    (
        Bit::Service,
        "retail.printer.service",
        Condition {
            event: "printer.service",
            begins: "the printer asks for service",
            ends: "the printer does not ask for service any more",
        },
    ),
];

const PAPER_OUT: Condition =
    Condition { event: "printer.paper", begins: "the paper is out", ends: "there is paper again" };
const PAPER_LOW: Condition =
    Condition { event: "printer.paper", begins: "the paper is low", ends: "the paper is not low any more" };
const TONER_OUT: Condition =
    Condition { event: "printer.toner", begins: "the toner is out", ends: "there is toner again" };
const TONER_LOW: Condition =
    Condition { event: "printer.toner", begins: "the toner is low", ends: "the toner is not low any more" };

impl Device<'_> {
    pub(super) async fn read_printer(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        self.read_error_states(reading).await?;
        self.read_levels(
            SUPPLY_LEVEL,
            SUPPLY_MAX,
            SUPPLIES_MAX,
            ("retail.printer.supply.level", "supply"),
            reading,
        )
        .await?;
        self.read_levels(TRAY_LEVEL, TRAY_MAX, TRAYS_MAX, ("retail.printer.tray.level", "tray"), reading)
            .await?;
        self.read_life_count(reading).await
    }

    async fn read_error_states(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        let (printers, _) = self.client.walk(ERROR_STATE, PRINTERS_MAX).await?;
        let names: Vec<Name> = printers.iter().map(|(index, _)| below(DEVICE_STATUS, index)).collect();
        let statuses = self.client.get(&names).await?;
        for (at, ((arcs, octets), status)) in printers.iter().zip(&statuses).enumerate() {
            // The first, nearly always the only one, needs no label.
            let number = index(arcs).filter(|_| at > 0);
            let label = number.as_deref().map(|number| ("printer", number));
            // running and warning, or down; unknown and testing are neither.
            if let Some(is_well) = match status.whole() {
                Some(2 | 3) => Some(1.0),
                Some(5) => Some(0.0),
                _ => None,
            } {
                add(reading, "hw.status", label, is_well);
            }
            match octets {
                Value::Bytes(octets) => match error_state::decode(octets) {
                    Ok((state, _)) => self.add_error_state(state, label, reading),
                    Err(_) => {
                        let text = "hrPrinterDetectedErrorState is longer than it can be".to_owned();
                        self.ctx.sink.error(FaultKind::Parse, text);
                    }
                },
                _ => self
                    .ctx
                    .sink
                    .error(FaultKind::Parse, "hrPrinterDetectedErrorState is no string of bits".to_owned()),
            }
        }
        Ok(())
    }

    fn add_error_state(&mut self, state: ErrorState, label: Option<(&str, &str)>, reading: &mut Reading) {
        let grade = |low: bool, out: bool| if out { 2.0 } else { f64::from(u8::from(low)) };
        let (paper_low, paper_out) =
            (state.has(Bit::LowPaper) || state.has(Bit::InputTrayEmpty), state.has(Bit::NoPaper));
        let (toner_low, toner_out) = (state.has(Bit::LowToner), state.has(Bit::NoToner));
        add(reading, "retail.printer.paper.state", label, grade(paper_low, paper_out));
        add(reading, "retail.printer.toner.state", label, grade(toner_low, toner_out));
        for (bit, metric, _) in FLAGS {
            add(reading, metric, label, f64::from(u8::from(state.has(*bit))));
        }
        // Events are told of the first printer: they have no labels, and who has more looks at the states.
        if label.is_none() {
            for (bit, _, condition) in FLAGS {
                self.changes.note(reading, *condition, state.has(*bit));
            }
            for (condition, holds) in [
                (PAPER_OUT, paper_out),
                (PAPER_LOW, paper_low && !paper_out),
                (TONER_OUT, toner_out),
                (TONER_LOW, toner_low && !toner_out),
            ] {
                self.changes.note(reading, condition, holds);
            }
        }
    }

    /// Levels as shares of what fits. A negative one, and a negative capacity, is no number: no limit, unknown, some left.
    async fn read_levels(
        &mut self,
        level: &[u32],
        capacity: &[u32],
        rows_max: usize,
        (metric, label): (&str, &str),
        reading: &mut Reading,
    ) -> Result<(), Fault> {
        let (levels, _) = self.client.walk(&below(PRINTER, level), rows_max).await?;
        let names: Vec<Name> =
            levels.iter().map(|(index, _)| below(PRINTER, &below(capacity, index))).collect();
        let capacities = self.client.get(&names).await?;
        for ((arcs, level), capacity) in levels.iter().zip(&capacities) {
            let (Some(level), Some(capacity), Some(number)) =
                (level.number(), capacity.number(), index(arcs))
            else {
                continue;
            };
            if level >= 0.0 && capacity > 0.0 {
                let share = (level / capacity * 1_000.0).round() / 1_000.0;
                add(reading, metric, Some((label, &number)), share);
            }
        }
        Ok(())
    }

    async fn read_life_count(&mut self, reading: &mut Reading) -> Result<(), Fault> {
        let (counts, _) = self.client.walk(&below(PRINTER, LIFE_COUNT), PRINTERS_MAX).await?;
        let names: Vec<Name> =
            counts.iter().map(|(index, _)| below(PRINTER, &below(COUNTER_UNIT, index))).collect();
        let units = self.client.get(&names).await?;
        for (at, ((arcs, count), unit)) in counts.iter().zip(&units).enumerate() {
            let number = index(arcs).filter(|_| at > 0);
            let label = number.as_deref().map(|number| ("marker", number));
            let metric = match unit.whole() {
                Some(6) => "retail.printer.lines",
                // impressions, sheets
                Some(7 | 8) => "retail.printer.pages",
                _ => continue,
            };
            if let Some(count) = count.number().filter(|count| *count >= 0.0) {
                add(reading, metric, label, count);
            }
        }
        Ok(())
    }
}
