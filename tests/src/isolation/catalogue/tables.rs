//! Rules for tables, partitions, policies, keys, views and functions.

use super::Rule;

pub(super) const RULES: [Rule; 12] = [
    Rule {
        name: "row-level security is on and forced",
        sql: "select c.oid::regclass::text,
                case when not c.relrowsecurity then 'it is off' when not c.relforcerowsecurity then 'it is not forced' end
            from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
    },
    Rule {
        name: "tenant_id is text, never null and never generated",
        sql: "select c.oid::regclass::text,
                case when a.atttypid <> 'text'::regtype then 'it is ' || a.atttypid::regtype
                    when not a.attnotnull then 'it may be null' when a.atthasdef then 'it has a default' end
            from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
    },
    Rule {
        name: "the policy is for named roles, for all commands or people's reading, and permissive",
        sql: "select tablename || '.' || policyname,
                case when 'public' = any (roles) then 'it is for PUBLIC'
                    when cmd <> case when 'storepulse_bi' = any (roles) then 'SELECT' else 'ALL' end then 'it is for ' || cmd
                    when permissive <> 'PERMISSIVE' then 'it is restrictive' end
            from pg_policies where schemaname = 'public'",
    },
    Rule {
        name: "the policy reads and checks the same",
        sql: "select tablename || '.' || policyname,
                case when with_check is distinct from qual then coalesce(with_check, 'nothing') || ' is not ' || qual end
            from pg_policies where schemaname = 'public' and cmd <> 'SELECT'",
    },
    Rule {
        name: "tenant_id leads the index, so that no key and no search spans tenants",
        sql: "select i.indexrelid::regclass::text,
                case when i.indkey[0] is distinct from a.attnum then pg_get_indexdef(i.indexrelid) end
            from pg_index i join pg_class c on c.oid = i.indrelid and c.relnamespace = 'public'::regnamespace
            join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped",
    },
    Rule {
        name: "the table has a primary key",
        sql: "select c.oid::regclass::text,
                case when not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) then 'none' end
            from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
    },
    Rule {
        name: "the foreign key leads with tenant_id on both sides",
        sql: "select k.conrelid::regclass || '.' || k.conname,
                case when not coalesce(here.attname = 'tenant_id' and there.attname = 'tenant_id', false)
                    then pg_get_constraintdef(k.oid) end
            from pg_constraint k
            left join pg_attribute here on here.attrelid = k.conrelid and here.attnum = k.conkey[1]
            left join pg_attribute there on there.attrelid = k.confrelid and there.attnum = k.confkey[1]
            where k.contype = 'f' and k.connamespace = 'public'::regnamespace",
    },
    Rule {
        name: "the partition is nobody's but its owner's",
        sql: "select c.oid::regclass::text,
                (select string_agg(distinct case g.grantee when 0 then 'PUBLIC' else g.grantee::regrole::text end, ', ')
                    from aclexplode(c.relacl) g where g.grantee <> c.relowner)
            from pg_class c where c.relispartition and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace",
    },
    Rule {
        name: "the view reads as whoever reads it",
        sql: "select c.oid::regclass::text,
                case when not coalesce('security_invoker=true' = any (c.reloptions), false) then 'it reads as its owner' end
            from pg_class c where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace",
    },
    Rule {
        name: "who runs as its owner says where it looks, and is not for everybody",
        sql: "select p.oid::regprocedure::text,
                case when not exists (select from unnest(p.proconfig) c where c like 'search_path=%') then 'no search_path'
                    when p.proacl is null or exists (select from aclexplode(p.proacl) g where g.grantee = 0)
                        then 'PUBLIC may execute it' end
            from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef",
    },
    Rule {
        name: "what people write has no statistics, which anybody's estimates would show",
        sql: "select a.attrelid::regclass || '.' || a.attname,
                case when a.attstattarget <> 0 then 'its statistics are collected' end
            from pg_attribute a where (a.attrelid, a.attname) in (('stores'::regclass, 'name'), ('events'::regclass, 'text'),
                ('losses'::regclass, 'reason'), ('losses'::regclass, 'path'), ('streams'::regclass, 'host_id'))",
    },
    Rule {
        name: "it is the owner's",
        sql: "select pg_describe_object(d.classid, d.objid, 0),
                case when d.owner <> 'storepulse_owner'::regrole then 'it is ' || d.owner::regrole::text || '''s' end
            from (
                select 'pg_class'::regclass as classid, oid as objid, relowner as owner from pg_class
                where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
                union all
                select 'pg_proc'::regclass, oid, proowner from pg_proc where pronamespace = 'public'::regnamespace
                union all
                select 'pg_type'::regclass, oid, typowner from pg_type
                where typnamespace = 'public'::regnamespace and typtype <> 'c' and typelem = 0
            ) d",
    },
];
