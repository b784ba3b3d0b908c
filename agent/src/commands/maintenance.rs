//! `maintenance`: somebody works in the shop, and the alerts wait. Asked of the running agent over its own socket.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::spool::time;
use crate::config::Config;
use crate::control::{self, MaintenanceTold, MaintenanceWish};
use crate::maintenance::{MINUTES_MAX, MINUTES_MIN};

#[derive(Subcommand)]
pub(super) enum MaintenanceCommand {
    /// Begin it; it ends by itself. If it is under way, it begins anew
    Begin {
        /// For how long, such as 45m or 2h: 5 minutes to 8 hours
        #[arg(long = "for", value_name = "TIME", value_parser = minutes)]
        minutes: u64,
        /// What is done, for whoever reads the events; at most 200 characters
        #[arg(long, default_value = "")]
        note: String,
    },
    /// End it now
    End,
    /// Show whether there is any
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Whole minutes, and a begun one is one.
fn minutes(text: &str) -> Result<u64, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("not a time such as 45m or 2h: {error}"))?;
    let minutes = time.as_secs().div_ceil(60);
    if (MINUTES_MIN..=MINUTES_MAX).contains(&minutes) {
        return Ok(minutes);
    }
    Err(format!("{minutes} minutes; maintenance lasts {MINUTES_MIN} to {MINUTES_MAX}"))
}

pub(super) async fn run(
    config: &Config,
    command: MaintenanceCommand,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let dir = &config.state_dir;
    let told: MaintenanceTold = match command {
        MaintenanceCommand::Begin { minutes, note } => {
            control::ask(dir, control::MAINTENANCE_BEGIN, &MaintenanceWish { minutes, note }).await?
        }
        MaintenanceCommand::End => {
            let told: MaintenanceTold = control::ask(dir, control::MAINTENANCE_END, &()).await?;
            writeln!(
                out,
                "{}",
                if told.changed { "maintenance has ended" } else { "there was no maintenance" }
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        MaintenanceCommand::Show { json } => {
            let told: MaintenanceTold = control::ask(dir, control::MAINTENANCE_SHOW, &()).await?;
            if json {
                writeln!(out, "{}", serde_json::json!({ "under_way": told.under_way }))?;
                return Ok(ExitCode::SUCCESS);
            }
            told
        }
    };
    write_screen(&told, out)?;
    Ok(ExitCode::SUCCESS)
}

fn write_screen(told: &MaintenanceTold, out: &mut impl Write) -> std::io::Result<()> {
    let Some(now) = &told.under_way else { return writeln!(out, "there is no maintenance") };
    let left = Duration::from_secs(u64::try_from(now.left_ms).unwrap_or_default().div_ceil(60_000) * 60);
    let left = humantime::format_duration(left);
    writeln!(out, "maintenance until {} ({left} left of {} minutes)", time(now.until_ms), now.minutes)?;
    match &now.note {
        Some(note) => writeln!(out, "  {note}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maintenance::UnderWay;

    #[test]
    fn times_are_whole_minutes_within_limits() {
        assert_eq!((minutes("1h"), minutes("45m"), minutes("5m 1s")), (Ok(60), Ok(45), Ok(6)));
        for (text, why) in [("4m", "5 to 480"), ("9h", "5 to 480"), ("60", "45m"), ("soon", "45m")] {
            let error = minutes(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_screen_says_until_when_and_why() {
        let shown = |under_way| {
            let mut out = Vec::new();
            write_screen(&MaintenanceTold { changed: false, under_way }, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(None), "there is no maintenance\n");
        let note = Some("new scale".to_owned());
        let text =
            shown(Some(UnderWay { until_ms: 1_763_726_400_000, left_ms: 2_399_000, minutes: 60, note }));
        assert!(
            text.starts_with("maintenance until 2025-11-21") && text.contains("(40m left of 60 minutes)"),
            "{text}"
        );
        assert!(text.ends_with("\n  new scale\n"), "{text}");
    }
}
