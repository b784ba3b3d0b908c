-- Reading people in SQL: a login `sp_bi_<tenant>` is a member of storepulse_bi and sees the rows of its tenant.
--
-- Which tenant that is comes from the name that the server has authenticated, and from nothing that a session can set: not
-- app.tenant_id, and not SET ROLE, because the only other role that it may become is storepulse_bi, whose name is no tenant's.
-- Nothing can be written: there are neither grants nor policies for it.
--
-- The view `samples` reads with the rights of whoever asks, hence the two tables beneath it.

create policy stores_bi on stores for select to storepulse_bi using (tenant_id = substr(current_user, 7));
create policy series_bi on series for select to storepulse_bi using (tenant_id = substr(current_user, 7));
create policy streams_bi on streams for select to storepulse_bi using (tenant_id = substr(current_user, 7));
create policy events_bi on events for select to storepulse_bi using (tenant_id = substr(current_user, 7));
create policy losses_bi on losses for select to storepulse_bi using (tenant_id = substr(current_user, 7));
create policy sample_batches_bi on sample_batches for select to storepulse_bi using (tenant_id = substr(current_user, 7));
create policy series_days_bi on series_days for select to storepulse_bi using (tenant_id = substr(current_user, 7));

grant select on samples, stores, series, streams, events, losses, sample_batches, series_days to storepulse_bi;

-- `explain` shows the planner's estimates, and these come from statistics over all tenants: whoever compares them can find out
-- what is common in a column. So there are none of what people write. Stating the type anew drops those that exist.
alter table stores alter column name type text, alter column name set statistics 0;
alter table events alter column text type text, alter column text set statistics 0;
alter table losses alter column reason type text, alter column reason set statistics 0,
    alter column path type text, alter column path set statistics 0;
alter table streams alter column host_id type text, alter column host_id set statistics 0;
