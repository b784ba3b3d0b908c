-- The spool, version 1. Numbers of epochs, batches and losses start at 1; times are Unix milliseconds UTC.

create table spool (
    version integer not null,
    -- A UTC day, in days since 1970, and the bytes that the spool had the disk write on it: see `wear.rs`.
    writes_day integer not null default 0,
    writes_bytes integer not null default 0
) strict;
insert into spool (version) values (1);

-- One opening of this spool by `run` each; or, with `sender` set, one epoch of somebody who pushes to us.
create table epochs (
    no integer primary key,
    epoch text not null unique,
    -- NULL: ours. Otherwise the SHA-256 of the push token that first used it (empty: pushed without a token).
    sender blob,
    -- What came before it in this spool; told to the cloud until it has acknowledged that once.
    after_epoch text,
    after_seq integer,
    after_told integer not null default 0,
    -- The answer by which it was found to be forgotten: requests made before do not tell it.
    after_reset_no integer not null default 0,
    -- Highest number given, and highest number sealed.
    last_seq integer not null default 0,
    sealed integer not null default 0,
    losses integer not null default 0,
    -- What the cloud last called `through`.
    through integer not null default 0,
    -- Numbers of batches that are no longer here and need nothing any more: acknowledged, or told as a loss.
    settled text not null default '[]',
    began_ms integer not null,
    -- 0: begun or first used here. Otherwise the number of the damaged file that it was taken over from, which answers for
    -- its numbers: not all of them need be here.
    home integer not null default 0,
    -- Over epoch, sender, home, settled, received and void. Checksums: see `check.rs`.
    crc integer not null default 0,
    -- Of a sender: the numbers we have committed, and those we have closed, as [[first,last],…].
    received text not null default '[]',
    void text not null default '[]'
) strict;

-- One boot of the box each, as far as it took samples in. truth: what is known of the true time in it (JSON), if anything.
create table boots (
    no integer primary key,
    boot_id text not null unique,
    truth text
) strict;

-- state: 0 open, 1 sealed, 2 acked, 3 in quarantine (refused, kept for people). lane: 0 critical, 1 normal, 2 bulk.
create table batches (
    id integer primary key,
    epoch_no integer not null,
    seq integer not null,
    lane integer not null,
    state integer not null,
    -- Durable before the first byte leaves: from then on the batch must not be altered under its number.
    sent integer not null default 0,
    opened_ms integer not null,
    sealed_ms integer,
    answered_ms integer,
    -- Of a sealed batch; an open one is counted in its rows.
    samples integer not null default 0,
    events integer not null default 0,
    t_min integer,
    t_max integer,
    -- Of the body as it is sent; 0 once the body of an acked batch is gone.
    bytes integer not null default 0,
    -- Of a batch in quarantine: why.
    refusal text,
    -- Of a batch whose content was in quarantine before: `<epoch>/<seq>` of the one that was told as a loss.
    recovers text,
    -- Of a batch in quarantine whose content has gone on: as `<epoch>/<seq>`, and when. It has no body any more.
    replayed_as text,
    replayed_ms integer,
    -- Acks are numbered in the order in which they are recorded.
    acked_no integer,
    -- Of a batch that fails while others pass: when it is tried again, and since when it has failed.
    deferred_until integer,
    failing_since integer,
    -- Of a half of a refused batch: the whole it comes from, and how often that was cut.
    origin integer,
    depth integer not null default 0,
    -- How often it was thinned.
    thinned integer not null default 0,
    -- By which clock its times were taken: in which boot, and what that clock would have shown at the moment of boot.
    -- NULL: by one that is not ours. A batch has one of them only.
    boot_no integer,
    base_ms integer,
    -- What its header said of the clock when it was sent last, or what its sender's did. Kept once the times are known.
    offset_ms integer,
    clock text,
    unique (epoch_no, seq)
) strict;

-- A handful of rows at most: without it every start, and every look, would read through all that waits.
create index batches_open on batches (lane) where state = 0;
create index batches_to_send on batches (lane, id) where state = 1;
create index batches_acked on batches (id) where state = 2;
create index batches_acked_with_body on batches (id, bytes) where state = 2 and bytes > 0;
create index batches_quarantined on batches (id) where state = 3;
create index batches_of_origin on batches (origin) where origin is not null;
create index batches_recovering on batches (recovers) where recovers is not null;

-- Apart from `batches`, so that a change of state does not write a body again.
create table bodies (
    batch_id integer primary key,
    digest blob not null,
    -- What it is, and a checksum over all of it: see `label.rs`.
    label blob not null,
    crc integer not null,
    -- Of a forwarded batch: the sender's header, verbatim.
    header text,
    body blob not null
) strict;

-- What an open batch holds so far. A shape is a device with its kind and series, so that a tick is little more than
-- its values: 8 bytes each, little-endian doubles, NaN for none.
create table shapes (
    id integer primary key,
    device text not null,
    kind text not null,
    series text not null,
    crc integer not null,
    unique (device, kind, series)
) strict;

create table open_ticks (
    batch_id integer not null,
    n integer not null,
    shape_id integer not null,
    t integer not null,
    vals blob not null,
    crc integer not null,
    primary key (batch_id, n)
) strict, without rowid;

create table open_events (
    batch_id integer not null,
    n integer not null,
    device text not null,
    t integer not null,
    kind text not null,
    text text not null,
    crc integer not null,
    primary key (batch_id, n)
) strict, without rowid;

-- Every loss, for people; the batch that carries it holds it too once it is sealed.
create table losses (
    id text primary key,
    batch_id integer not null,
    recorded_ms integer not null,
    reason text not null,
    samples integer not null,
    json text not null
) strict, without rowid;

create index losses_by_batch on losses (batch_id);

-- Numbers without a batch: the cloud has closed them, or is told so by a loss. Kept as long as acked batches, so that a
-- cloud that was restored from a backup can be told again.
create table closed_numbers (
    epoch_no integer not null,
    first integer not null,
    last integer not null,
    -- The answer by which the cloud knows; counted with `batches.acked_no`. NULL while the loss is on its way.
    acked_no integer,
    loss_id text,
    at_ms integer not null,
    primary key (epoch_no, first)
) strict, without rowid;

create index closed_numbers_by_loss on closed_numbers (loss_id) where acked_no is null;

-- Damaged files that have been read and told of. They are done with once the cloud has all of that.
create table salvaged (
    file integer primary key,
    at_ms integer not null
) strict;

-- Answers to pushes that carried an Idempotency-Key.
create table idempotency_keys (
    sender blob not null,
    key text not null,
    body_sha256 blob not null,
    verdict text not null,
    at_ms integer not null,
    primary key (sender, key)
) strict, without rowid;

create index idempotency_keys_by_age on idempotency_keys (at_ms);
