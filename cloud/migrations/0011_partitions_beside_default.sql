-- Partitions of the inbox are made although the DEFAULT partition already holds rows of one of their days.
--
-- Such a day keeps its place there until it is compacted. Before, it stopped the days after it from being made as well,
-- so that these went to the DEFAULT partition in their turn, and the service did not start.
create or replace function make_partitions(first_day date, last_day date) returns integer
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    day date;
    partition text;
    made integer := 0;
begin
    if last_day - first_day > 400 then
        raise exception 'refusing to make % partitions at once', last_day - first_day + 1;
    end if;
    -- Two services may start at once; the second finds the work done.
    perform pg_advisory_xact_lock(hashtext('storepulse make_partitions'));
    for day in select generate_series(first_day, last_day, interval '1 day')::date loop
        partition := 'sample_batches_' || to_char(day, 'YYYYMMDD');
        if to_regclass('public.' || partition) is null then
            begin
                execute format(
                    'create table public.%I partition of public.sample_batches for values from (%L) to (%L)',
                    partition, day, day + 1);
                execute format('alter table public.%I enable row level security', partition);
                execute format('alter table public.%I force row level security', partition);
                made := made + 1;
            exception when check_violation then
                raise notice 'the DEFAULT partition holds rows of %', day;
            end;
        end if;
    end loop;
    return made;
end
$$;
