//! What there must be none of, because it would be another way in or out.

use super::Absent;

pub(super) const ALL: [Absent; 16] = [
    Absent {
        name: "no sequence numbers things across tenants",
        sql: "select oid::regclass::text from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace",
    },
    Absent {
        name: "no materialised view, no foreign table: neither has row-level security",
        sql: "select oid::regclass::text from pg_class
            where relkind in ('m', 'f') and relnamespace = 'public'::regnamespace",
    },
    Absent {
        name: "no rule but those of views",
        sql: "select ev_class::regclass || '.' || rulename from pg_rewrite w join pg_class c on c.oid = w.ev_class
            where c.relnamespace = 'public'::regnamespace and rulename <> '_RETURN'",
    },
    Absent { name: "no event trigger", sql: "select evtname from pg_event_trigger" },
    Absent { name: "no extension but plpgsql", sql: "select extname from pg_extension where extname <> 'plpgsql'" },
    Absent {
        name: "no schema but public",
        sql: "select nspname from pg_namespace
            where nspname not in ('public', 'information_schema') and nspname not like 'pg\\_%'",
    },
    Absent {
        name: "no privileges that new objects would have by default",
        sql: "select defaclrole::regrole || ' ' || defaclacl::text from pg_default_acl",
    },
    Absent {
        name: "no setting of a role or database stands in for a tenant or for row-level security",
        sql: "select setdatabase || ' ' || setrole::regrole || ' ' || setting
            from pg_db_role_setting, unnest(setconfig) setting
            where setting ~* '^(app\\.|row_security=|role=|session_authorization=|search_path=|session_replication_role=|.*preload)'
              and (setrole = 0 or setrole in (select oid from pg_roles where rolname ~ '^(storepulse|sp_bi)_'))
              and setdatabase in (0, (select oid from pg_database where datname = current_database()))",
    },
    Absent {
        name: "no setting of the server stands in for a tenant",
        sql: "select name || '=' || setting from pg_settings where name like 'app.%' or (name = 'row_security' and setting <> 'on')",
    },
    Absent {
        name: "no column has grants of its own",
        sql: "select attrelid::regclass || '.' || attname from pg_attribute a join pg_class c on c.oid = a.attrelid
            where c.relnamespace = 'public'::regnamespace and a.attacl is not null",
    },
    Absent {
        name: "nothing belongs to a role that serves",
        sql: "select pg_describe_object(classid, objid, objsubid) from pg_shdepend
            where deptype = 'o' and refclassid = 'pg_authid'::regclass
              and dbid in (0, (select oid from pg_database where datname = current_database()))
              and refobjid in ('storepulse_app'::regrole, 'storepulse_control'::regrole, 'storepulse_bi'::regrole)",
    },
    Absent {
        name: "nothing by which a reader could hold up the service or fill its disk is for everybody",
        sql: "select oid::regprocedure::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace
            and (proname ~ '^pg_(try_)?advisory_(xact_)?lock' or proname in ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put'))
            and has_function_privilege('storepulse_bi', oid, 'execute')",
    },
    Absent { name: "no publication sends rows elsewhere", sql: "select pubname from pg_publication" },
    Absent {
        name: "no subscription and no foreign server",
        sql: "select srvname from pg_foreign_server union all select subname from pg_subscription
            where subdbid = (select oid from pg_database where datname = current_database())",
    },
    Absent { name: "no large object, which has no row-level security", sql: "select oid::text from pg_largeobject_metadata" },
    Absent {
        name: "nothing is granted on with the right to grant it further",
        sql: "select c.oid::regclass || ' to ' || g.grantee::regrole from pg_class c, aclexplode(c.relacl) g
            where c.relnamespace = 'public'::regnamespace and g.is_grantable and g.grantee <> c.relowner",
    },
];
