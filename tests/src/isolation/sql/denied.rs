//! What no grant allows is denied: tenants' data to `storepulse_control`, keys to `storepulse_app`, partitions to both.

use super::relations::{Relation, Schema};
use super::writes::DENIED;
use super::{APP, CONTROL, Logins};
use crate::isolation::case::Case;
use crate::isolation::world::VICTIM;

/// A case for every role, relation and privilege that the explicit list of grants does not have.
pub(super) async fn cases(schema: &Schema, logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for relation in schema.all() {
        for (role, session) in [(APP, &mut logins.app), (CONTROL, &mut logins.control)] {
            for (privilege, statement) in uses(relation) {
                if relation.allows(role, privilege) {
                    continue;
                }
                let reply = session.attempt(Some(VICTIM), &statement).await?;
                let case = format!("{role} may not {privilege} {}", relation.name);
                cases.push(Case::holds(case, reply.code() == DENIED, || {
                    format!("{} {} rows; {}", reply.code(), reply.affected, reply.text())
                }));
            }
        }
    }
    Ok(cases)
}

/// A statement for each privilege, which needs no other one. A view is read, and nothing else.
pub(in crate::isolation) fn uses(relation: &Relation) -> Vec<(&'static str, String)> {
    let name = &relation.name;
    let mut uses = vec![("SELECT", format!("select 1 from {name}"))];
    if !relation.is_view {
        uses.extend([
            ("INSERT", format!("insert into {name} default values")),
            ("UPDATE", format!("update {name} set {} = null", relation.columns[0])),
            ("DELETE", format!("delete from {name}")),
            ("TRUNCATE", format!("truncate {name}")),
        ]);
    }
    uses
}
