//! Who may call which route: observed, by asking as each, and written as the table that `cloud/README.md` shows.

use super::known::{Door, KNOWN, Route};
use crate::isolation::content;
use crate::isolation::wire::{self, Request};
use crate::isolation::world::{STRANGER, World};

/// By whom is asked, in the order of the columns.
const COLUMNS: [&str; 8] =
    ["nobody", "agent", "viewer", "user", "admin", "program", "operator", "operator inside"];

/// The table, as Markdown. All who ask are of one tenant, or none.
///
/// # Errors
/// Something could not be asked.
pub async fn table(world: &World) -> anyhow::Result<String> {
    let people = &world.people;
    let credentials = [
        None,
        Some(world.stranger_sibling.bearer()),
        Some(people.strangers_viewer.bearer.clone()),
        Some(people.strangers_manager.bearer.clone()),
        Some(people.strangers_admin.bearer.clone()),
        // Of the user's, for samples only.
        Some(people.strangers_program.bearer.clone()),
        Some(world.operator.clone()),
        Some(people.inside_stranger.bearer.clone()),
    ];
    let mut table = format!("| route | {} |\n|---|{}\n", COLUMNS.join(" | "), ":-:|".repeat(COLUMNS.len()));
    for route in &KNOWN {
        let mut line = format!("| `{} {}` |", route.method, route.path);
        for (credential, column) in credentials.iter().zip(COLUMNS) {
            let may = if is_sign_out(route) {
                // Whoever asked would be out for the rest.
                matches!(column, "viewer" | "user" | "admin")
            } else {
                is_let_in(world, route, credential.as_deref()).await?
            };
            line.push_str(if may { " ✓ |" } else { " |" });
        }
        table.push_str(&line);
        table.push('\n');
    }
    // An admin may take her tenant's provider and words away, and has.
    content::of_tenants(&world.db).await?;
    Ok(table)
}

fn is_sign_out(route: &Route) -> bool {
    (route.method, route.path) == ("DELETE", "/v1/session")
}

/// Whether the credential is enough. What is asked is of the caller's own, and cannot be done: a body that is none, a tenant that is
/// not there.
async fn is_let_in(world: &World, route: &Route, credential: Option<&str>) -> anyhow::Result<bool> {
    let nobodys = "00000000-0000-0000-0000-000000000000";
    let user = if route.method == "GET" { world.people.strangers_viewer.user_id.as_str() } else { nobodys };
    let tenant = if route.method == "GET" { STRANGER } else { "nobody" };
    let target = [
        ("{store_id}", world.stranger_sibling.store.as_str()),
        ("{tenant_id}", tenant),
        ("{user_id}", user),
        ("{session_id}", nobodys),
        ("{invitation_id}", nobodys),
        ("{token_id}", nobodys),
        ("{entry_id}", nobodys),
        ("{key_id}", "oddkey01"),
        ("{kind}", "invitation"),
        ("{language}", "en"),
        ("{type}", "general"),
        ("{name}", "time_zone"),
        ("{feature}", "exports"),
        ("{plan}", "basic"),
    ];
    let target =
        target.into_iter().fold(route.path.to_owned(), |path, (name, value)| path.replace(name, value));
    let mut request = Request::new(route.method, &target).with("host", "storepulse.example");
    if let Some(credential) = credential {
        request = request.with("authorization", credential);
    }
    if matches!(route.method, "POST" | "PUT" | "PATCH") && !route.path.ends_with("/password") {
        request.body = b"no JSON".to_vec();
    }
    let answer = wire::send(world.address, &request).await?;
    let text = answer.text();
    let is_open = matches!(route.door, Door::Open | Door::OpenWithNumbers | Door::SignIn | Door::Elsewhere);
    Ok(is_open || !matches!(answer.status, 401 | 403) || text.contains("sign_in_failed"))
}
