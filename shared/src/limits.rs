//! Every limit that agent and cloud both hold, each under one name.
//!
//! A limit without a stated policy is a defect: the comment says what happens beyond it.

use std::time::Duration;

/// Largest request body as sent, in bytes. Beyond: 413 `body_too_large`.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest body once inflated, in bytes. Beyond: 413 `inflated_too_large`, and inflating stops there.
pub const INFLATED_BYTES_MAX: usize = 16 << 20;
/// Most samples (values that are not null) in a batch. Beyond: 413 `too_many_samples`.
pub const SAMPLES_MAX: usize = 20_000;
/// Most frames in a batch. Beyond: 413 `too_many_frames`.
pub const FRAMES_MAX: usize = 20_000;
/// Most series in one frame. Beyond: 413 `too_many_columns`.
pub const COLUMNS_MAX: usize = 1_000;
/// Most events in a batch. Beyond: 413 `too_many_events`.
pub const EVENTS_MAX: usize = 2_000;
/// Most losses in a batch. Beyond: 413 `too_many_losses`.
pub const LOSSES_MAX: usize = 1_000;
/// Most ranges of numbers that one loss may close. Beyond: 400.
pub const LOSS_RANGES_MAX: usize = 1_000;
/// The agent seals a batch before its samples span more than this.
pub const SPAN_SEALED: Duration = Duration::from_secs(6 * 3600);
/// Longest span from first to last sample. Beyond: 422 `span_too_long`.
pub const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);
/// How far ahead of the cloud's clock a sample may be when the agent vouches for its clock.
/// Beyond: the sample is rejected, the others are stored.
pub const AHEAD_MAX: Duration = Duration::from_secs(3600);
/// Longest series name (`metric{label="value",…}`), in bytes. Beyond: 400.
pub const SERIES_BYTES_MAX: usize = 512;
/// Longest text of an event, in bytes. The agent cuts its own; beyond it in a body: 400.
pub const EVENT_TEXT_BYTES_MAX: usize = 1_024;
/// Longest device kind, event kind and loss reason, in bytes. Beyond: 400.
pub const KIND_BYTES_MAX: usize = 64;
/// Longest `StorePulse-Batch` header, in bytes. Beyond: 400.
pub const HEADER_BYTES_MAX: usize = 512;
/// Longest `Idempotency-Key`, in bytes. Beyond: 400.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How long an `Idempotency-Key` is remembered with its verdict.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most series of one store. Beyond: samples of new series are rejected one by one.
pub const STORE_SERIES_MAX: usize = 5_000;
/// Most series of one device. Beyond: samples of new series are rejected one by one.
pub const DEVICE_SERIES_MAX: usize = 200;
/// Highest number a batch can have; PostgreSQL's `bigint` holds one more, as the open end of a range.
pub const SEQ_MAX: u64 = i64::MAX as u64 - 1;
/// Earlier epochs whose receipts an answer reports beside the batch's own.
pub const THROUGH_EPOCHS_MAX: usize = 8;
/// Longest wait that a `Retry-After` can impose on an agent.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Earliest time a sample can have, Unix milliseconds (2000-01-01): older is a clock that never was set.
pub const TIME_MIN_MS: i64 = 946_684_800_000;
/// Latest time a sample can have, Unix milliseconds (2100-01-01).
pub const TIME_MAX_MS: i64 = 4_102_444_800_000;
