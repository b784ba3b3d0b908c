-- Erasing a tenant: what nobody needs in daily work may be deleted too, within one tenant, by `storepulse-cloud tenant erase`.
-- The row of `tenants` stays as a mark, and so does the audit, which speaks of ids only.

grant delete on streams, series_counters, store_tallies to storepulse_app;
grant delete on stores, store_keys to storepulse_control;
