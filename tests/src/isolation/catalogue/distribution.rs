//! What Citus asks of a schema whose tables are distributed by `tenant_id`, as rules: the road past one machine stays open.
//!
//! That tenant_id leads every index and both sides of every foreign key, and that there are no sequences, triggers and
//! rules, is checked beside these. Exceptions, which would stay local tables of the coordinator: `_sqlx_migrations` and
//! `upkeep_jobs`, which hold nothing of any tenant and to which nothing refers. `tenants` is no exception: its key is the
//! distribution column itself. Source of what is asked: the Citus documentation on multi-tenant schemas and its list of
//! unsupported SQL; `deploy/cloud/growing.md` says what of it has been tried.

use super::Rule;

pub(super) const RULES: [Rule; 7] = [
    Rule {
        name: "the constraint leads with tenant_id, so that each shard can keep it by itself",
        sql: "select k.conrelid::regclass || '.' || k.conname,
                case when k.conkey[1] is distinct from a.attnum then pg_get_constraintdef(k.oid) end
            from pg_constraint k join pg_class c on c.oid = k.conrelid and c.relnamespace = 'public'::regnamespace
            join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            where k.contype in ('p', 'u', 'x')",
    },
    Rule {
        name: "tenant_id is of one type and collation everywhere, so that a tenant's rows lie together",
        sql: "select c.oid::regclass::text,
                case when a.atttypid <> 'text'::regtype or a.attcollation <> 'pg_catalog.default'::regcollation
                    then format_type(a.atttypid, a.atttypmod) || ' collate ' || a.attcollation::regcollation end
            from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
    },
    Rule {
        name: "the foreign key stays within the tenant and changes no tenant_id",
        sql: "select k.conrelid::regclass::text,
                case when not exists (select from pg_attribute a
                        where a.attrelid = k.confrelid and a.attname = 'tenant_id' and not a.attisdropped)
                    then pg_get_constraintdef(k.oid) || ': the other table has no tenants'
                when k.confdeltype in ('n', 'd') or k.confupdtype in ('n', 'd', 'c') then pg_get_constraintdef(k.oid) end
            from pg_constraint k where k.contype = 'f' and k.connamespace = 'public'::regnamespace",
    },
    Rule {
        name: "the policy asks no other table, which a worker might not have",
        sql: "select polrelid::regclass || '.' || polname,
                case when concat(polqual, polwithcheck) like '%SUBLINK%' then pg_get_expr(polqual, polrelid) end
            from pg_policy p join pg_class c on c.oid = p.polrelid and c.relnamespace = 'public'::regnamespace",
    },
    Rule {
        name: "the policy calls nothing volatile, which each worker would answer for itself",
        sql: "select p.polrelid::regclass || '.' || p.polname, (
                select string_agg(f.oid::regprocedure::text, ', ') from pg_proc f where f.provolatile = 'v'
                  and f.oid::text in (select m[1] from regexp_matches(concat(p.polqual, p.polwithcheck), ':(?:funcid|opfuncid) ([0-9]+)', 'g') m))
            from pg_policy p join pg_class c on c.oid = p.polrelid and c.relnamespace = 'public'::regnamespace",
    },
    Rule {
        name: "the column numbers nothing by itself, which two workers would do alike",
        sql: "select c.oid::regclass || '.' || a.attname,
                case when a.attidentity <> '' then 'it is an identity'
                    when pg_get_expr(d.adbin, d.adrelid) like '%nextval(%' then pg_get_expr(d.adbin, d.adrelid) end
            from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
            left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped",
    },
    Rule {
        name: "the table is whole, or cut once by range, and permanent",
        sql: "select c.oid::regclass::text,
                case when c.relpersistence <> 'p' then 'it is not permanent'
                    when c.relkind = 'p' and c.relispartition then 'it is a partition with partitions'
                    when t.partstrat <> 'r' then 'it is partitioned, and not by range'
                    when not c.relispartition and exists (select from pg_inherits i where i.inhrelid = c.oid) then 'it inherits' end
            from pg_class c left join pg_partitioned_table t on t.partrelid = c.oid
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
    },
];
