-- What an epoch's batches reported, newest first: the account of a store's delivery is read page by page.
create index losses_by_epoch on losses (tenant_id, store_id, epoch, recorded_at, loss_id);
