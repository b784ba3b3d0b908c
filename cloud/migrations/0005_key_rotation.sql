-- Rotation of a store's key: an operator opens a window, the agent registers one new key in it, which closes it.

-- Both null: no window is open. One that has passed needs no clearing.
alter table stores
    add column key_window_opened_at timestamptz,
    add column key_window_closes_at timestamptz,
    add constraint stores_key_window_length check (
        (key_window_opened_at is null) = (key_window_closes_at is null)
        and (key_window_closes_at is null or key_window_closes_at <= key_window_opened_at + interval '24 hours')
    );

-- The hash of the key over which this one was registered: that one, and no other, it may retire.
alter table store_keys
    add column replaces bytea,
    add constraint store_keys_replaces_length check (length(replaces) = 32);
