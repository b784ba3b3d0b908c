//! `status`: how the agent is, asked of the running one; where none runs, what its spool holds.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use storepulse_shared::limits::TIME_MAX_MS;

use crate::config::Config;
use crate::spool;

/// Losses that the screen shows one by one; `--json` has more.
const LOSSES_ON_SCREEN: usize = 5;

pub(super) async fn run(config: &Config, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (status, text) = match super::ask(config, "/status").await {
        Ok(answer) => answer,
        Err(_) => return not_running(config, json, out),
    };
    if status != 200 {
        super::say(&format!("the agent answers {status}: {text}"));
        return Ok(ExitCode::FAILURE);
    }
    let status: Value = serde_json::from_str(&text)?;
    let connected = status["uplink"]["state"] == "connected";
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        write_screen(&status, out)?;
    }
    Ok(if connected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn not_running(config: &Config, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let spool = spool::look(&config.state_dir);
    if json {
        let spool =
            spool.map_or_else(|e| serde_json::json!({ "error": e.to_string() }), |s| serde_json::json!(s));
        writeln!(out, "{}", serde_json::json!({ "running": false, "spool": spool }))?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "the agent does not run (nothing answers on {})", config.local.listen)?;
    match spool {
        Ok(spool) => {
            let waiting: u64 = spool.lanes.iter().map(|l| l.waiting_samples).sum();
            writeln!(out, "its spool holds {waiting} samples in sealed batches and {} bytes", spool.bytes)?;
            write_epochs(&serde_json::to_value(&spool)?, out)?;
        }
        Err(error) => writeln!(out, "{error}")?,
    }
    Ok(ExitCode::FAILURE)
}

/// Epochs of which the cloud still has to get something, and the latest of what it will never get.
fn write_epochs(spool: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let epochs = spool["epochs"].as_array().into_iter().flatten();
    for epoch in epochs.filter(|epoch| epoch["waiting_batches"] != 0) {
        writeln!(
            out,
            "epoch    {}: sealed {}, the cloud has up to {}, waiting {}",
            epoch["epoch"].as_str().unwrap_or("-"),
            epoch["sealed"],
            epoch["through"],
            epoch["waiting_batches"],
        )?;
    }
    for loss in spool["latest_losses"].as_array().into_iter().flatten().take(LOSSES_ON_SCREEN) {
        let time = |field: &str| {
            let ms = loss[field].as_i64().unwrap_or_default().clamp(0, TIME_MAX_MS);
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs()))
        };
        writeln!(
            out,
            "lost     {} samples of the {} lane, {}, {} to {}",
            loss["samples"],
            loss["lane"].as_str().unwrap_or("-"),
            loss["reason"].as_str().unwrap_or("-"),
            time("from"),
            time("to"),
        )?;
    }
    Ok(())
}

/// What is known of the clock, in one line.
fn clock_line(clock: &Value) -> String {
    let Some(offset_ms) = clock["offset_ms"].as_i64() else {
        return "nobody has told the time yet; samples are kept, and marked if they must go".to_owned();
    };
    let off = humantime::format_duration(std::time::Duration::from_millis(offset_ms.unsigned_abs()));
    let direction = if offset_ms < 0 { "ahead" } else { "behind" };
    let authority = clock["authority"].as_str().unwrap_or("-");
    let repairing = if clock["repairing"] == true { "; samples are repaired" } else { "" };
    format!("{off} {direction} ({authority}){repairing}")
}

/// What the disk had to write today, in one line.
fn writes_line(writes: &Value) -> String {
    let bytes = &writes["bytes"];
    let Some(most) = writes["bytes_max"].as_u64() else {
        return format!("{bytes} bytes today, without a limit");
    };
    let window = match writes["window_ms"].as_u64() {
        Some(0) | None => "nothing waits".to_owned(),
        Some(ms) => format!("readings wait up to {ms} ms to share a commit"),
    };
    let over = if bytes.as_u64() > Some(most) { "; more than the day's limit" } else { "" };
    format!("{bytes} of {most} bytes today; {window}{over}")
}

fn write_screen(status: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let now = status["now_ms"].as_i64().unwrap_or_default();
    let age = |at: &Value| match at.as_i64() {
        Some(at) => format!("{} s ago", (now - at) / 1000),
        None => "never".to_owned(),
    };
    let (identity, uplink, spool) = (&status["identity"], &status["uplink"], &status["spool"]);
    writeln!(
        out,
        "store    {} of {}   key {}",
        text(&identity["store"]),
        text(&identity["tenant"]),
        text(&identity["key_id"])
    )?;
    writeln!(out, "uplink   {}   last ack {}", text(&uplink["state"]), age(&uplink["last_ack_ms"]))?;
    if let Some(reason) = uplink["reason"].as_str() {
        writeln!(out, "         {reason}")?;
    }
    writeln!(out, "clock    {}", clock_line(&status["clock"]))?;
    for lane in spool["lanes"].as_array().into_iter().flatten() {
        if lane["waiting_batches"].as_u64().unwrap_or_default() > 0 {
            writeln!(
                out,
                "waiting  {}: {} batches, {} samples, {} bytes, oldest {}",
                text(&lane["lane"]),
                lane["waiting_batches"],
                lane["waiting_samples"],
                lane["waiting_bytes"],
                age(&lane["oldest_ms"]),
            )?;
        }
    }
    writeln!(out, "spool    {} bytes, {} samples lost and reported", spool["bytes"], spool["lost_samples"])?;
    writeln!(out, "written  {}", writes_line(&spool["writes"]))?;
    write_epochs(spool, out)?;
    for aside in spool["quarantine"].as_array().into_iter().flatten() {
        writeln!(out, "set aside {}: {}", text(&aside["batch"]), text(&aside["refusal"]))?;
    }
    for (id, device) in status["devices"].as_object().into_iter().flatten() {
        let state = device["state"].as_str().unwrap_or("unknown");
        writeln!(
            out,
            "{state:<12} {id} ({}), last good {}",
            text(&device["kind"]),
            age(&device["last_good_ms"])
        )?;
        if state != "ok"
            && let Some(error) = device["last_error"]["text"].as_str()
        {
            writeln!(out, "             {error}")?;
        }
    }
    Ok(())
}
