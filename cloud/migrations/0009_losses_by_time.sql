-- Losses and rejected samples of a store, the last recorded first: read page by page, and counted for the overview.
create index losses_by_time on losses (tenant_id, store_id, recorded_at, loss_id);
