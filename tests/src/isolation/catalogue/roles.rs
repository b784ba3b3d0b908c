//! Rules for the roles. They are the cluster's, not the database's: what is found here holds for every database in it.

use super::Rule;

pub(super) const RULES: [Rule; 4] = [
    Rule {
        name: "the role is bound by row-level security and makes no roles and databases",
        sql: "select rolname, nullif(concat_ws(', ',
                case when rolsuper then 'superuser' end, case when rolbypassrls then 'bypasses row-level security' end,
                case when rolcreaterole then 'makes roles' end, case when rolcreatedb then 'makes databases' end,
                case when rolreplication then 'replicates' end), '')
            from pg_roles where rolname ~ '^(storepulse|sp_bi)_' and rolname <> current_user",
    },
    Rule {
        name: "only those log in who serve",
        sql: "select rolname, case when rolcanlogin <> (rolname in ('storepulse_app', 'storepulse_control'))
                then 'it may log in: ' || rolcanlogin::text end
            from pg_roles where rolname like 'storepulse\\_%' and rolname <> current_user",
    },
    Rule {
        name: "the role is a member of no other, but a reader of its group",
        sql: "select r.rolname, (select string_agg(m.roleid::regrole::text, ', ') from pg_auth_members m
                where m.member = r.oid and not (starts_with(r.rolname, 'sp_bi_') and m.roleid = 'storepulse_bi'::regrole))
            from pg_roles r where r.rolname ~ '^(storepulse|sp_bi)_' and r.rolname <> current_user",
    },
    Rule {
        name: "only readers of one tenant each are in the group, and none of them leads others into it",
        sql: "select 'storepulse_bi', string_agg(r.rolname, ', ') from pg_auth_members m join pg_roles r on r.oid = m.member
            where m.roleid = 'storepulse_bi'::regrole
              and (m.admin_option or r.rolname !~ '^sp_bi_[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$')",
    },
];
