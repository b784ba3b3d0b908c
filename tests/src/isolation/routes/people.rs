//! What people's own routes are asked for, and that people see their own there.

use serde_json::json;

use super::attempts::{Aim, Attempt};
use super::judge::shows;
use super::known::{Door, KNOWN, Route};
use crate::isolation::case::Case;
use crate::isolation::people::Somebody;
use crate::isolation::wire::{self, Request};
use crate::isolation::world::{VICTIM, World};

/// Another password, by whoever does not know the one until now.
pub(super) const WRONG_PASSWORD: &str = r#"{"old":"not the right one","new":"another one than that"}"#;

fn attempt(name: &str, method: &str, target: &str, body: &str, aim: Aim) -> Attempt {
    let mut request = Request::new(method, target);
    if !body.is_empty() {
        request = request.with("content-type", "application/json");
        request.body = body.as_bytes().to_vec();
    }
    Attempt { name: name.to_owned(), request, aim, is_spelling: false }
}

/// A path without parameters.
pub(super) fn plain(method: &str, path: &str, body: &str) -> Vec<Attempt> {
    vec![attempt("as it is", method, path, body, Aim::Callers)]
}

/// By the victim's admin, without her password.
pub(super) fn of_sign_in(_: &World) -> Vec<Attempt> {
    let body = |tenant: &str, user: &str, password: &str| {
        json!({ "tenant": tenant, "user": user, "password": password }).to_string()
    };
    [
        ("a wrong password", body(VICTIM, "admin", "wrong")),
        ("a user that is SQL", body(VICTIM, "' or '1'='1", "wrong")),
        ("a tenant that is none", body("../la-villa", "admin", "wrong")),
        ("no body", String::new()),
    ]
    .map(|(name, body)| attempt(name, "POST", "/v1/session", &body, Aim::Callers))
    .to_vec()
}

/// With what renews no session.
pub(super) fn of_refresh() -> Vec<Attempt> {
    let never_issued: Result<_, _> =
        VICTIM.parse().map(|tenant| storepulse_shared::key::RefreshToken::issue(&tenant));
    let never_issued = never_issued.map(|token| token.expose().to_owned()).unwrap_or_default();
    [("rubbish", "rubbish"), ("a token that was never issued", &never_issued)]
        .map(|(name, token)| {
            let body = json!({ "refresh_token": token }).to_string();
            attempt(name, "POST", "/v1/session/refresh", &body, Aim::Callers)
        })
        .to_vec()
}

/// Of her tenant, whose admin is among the callers.
pub(super) fn of_own_provider() -> Vec<Attempt> {
    vec![attempt("as it is", "GET", "/v1/identity-provider", "", Aim::CallersOrGone)]
}

/// The victim's tenant, and none.
pub(super) fn of_switch() -> Vec<Attempt> {
    [VICTIM, "nobody", "../la-villa"]
        .map(|tenant| {
            let body = json!({ "tenant": tenant }).to_string();
            // Whoever is not joined is told so in the same words, whatever there is.
            Attempt {
                aim: Aim::NotJoined,
                ..attempt(&format!("to {tenant}"), "POST", "/v1/session/switch", &body, Aim::Callers)
            }
        })
        .to_vec()
}

/// The victim's token, and none.
pub(super) fn of_tokens(world: &World) -> Vec<Attempt> {
    let ids = [world.people.victims_token.as_str(), "00000000-0000-0000-0000-000000000000", "x"];
    let of = |id: &str| {
        attempt(&format!("token {id:.8}"), "DELETE", &format!("/v1/me/tokens/{id}"), "", Aim::NotThere)
    };
    ids.map(of).to_vec()
}

/// For the victim's admin; this service sends no mail.
pub(super) fn of_reset() -> Vec<Attempt> {
    let body = json!({ "tenant": VICTIM, "user": "admin" }).to_string();
    vec![attempt("for the victim's admin", "POST", "/v1/password-resets", &body, Aim::Callers)]
}

/// With what is no link's token.
pub(super) fn of_redemption() -> Vec<Attempt> {
    let never_issued = VICTIM.parse().map(|tenant| storepulse_shared::key::ResetToken::issue(&tenant));
    let never_issued = never_issued.map(|token| token.expose().to_owned()).unwrap_or_default();
    [("rubbish", "rubbish"), ("a token that was never issued", &never_issued)]
        .map(|(name, token)| {
            let body = json!({ "token": token, "password": "three words of mine" }).to_string();
            attempt(name, "POST", "/v1/password-resets/redemption", &body, Aim::Callers)
        })
        .to_vec()
}

/// As the victim; nobody signs up by herself here.
pub(super) fn of_sign_up() -> Vec<Attempt> {
    let body = json!({ "tenant_id": VICTIM, "company": "Mine", "email": "mine@x.example" }).to_string();
    vec![attempt("as the victim", "POST", "/v1/sign-ups", &body, Aim::Callers)]
}

/// With a token that was never issued.
pub(super) fn of_sign_up_confirmation() -> Vec<Attempt> {
    let token = storepulse_shared::key::SignUpToken::issue();
    let body = json!({ "token": token.expose(), "user_name": "mine", "password": "three words of mine" });
    vec![attempt(
        "a token that was never issued",
        "POST",
        "/v1/sign-ups/confirmation",
        &body.to_string(),
        Aim::Callers,
    )]
}

/// Of the victim, and of nobody.
pub(super) fn of_provider(route: &str) -> Vec<Attempt> {
    [VICTIM, "nobody", "..%2Fla-villa"]
        .map(|tenant| {
            attempt(
                &format!("of {tenant}"),
                "GET",
                &format!("/v1/providers/{tenant}/{route}"),
                "",
                Aim::Callers,
            )
        })
        .to_vec()
}

/// The victim's session, and none.
pub(super) fn of_sessions(world: &World) -> Vec<Attempt> {
    let ids = [world.people.victims_admin.session_id.as_str(), "00000000-0000-0000-0000-000000000000", "x"];
    let of = |id: &str| {
        attempt(&format!("session {id:.8}"), "DELETE", &format!("/v1/me/sessions/{id}"), "", Aim::NotThere)
    };
    ids.map(of).to_vec()
}

/// With what is no invitation.
pub(super) fn of_acceptance(_: &World) -> Vec<Attempt> {
    let never_issued: Result<_, _> =
        VICTIM.parse().map(|tenant| storepulse_shared::key::InviteToken::issue(&tenant));
    let never_issued = never_issued.map(|token| token.expose().to_owned()).unwrap_or_default();
    [("rubbish", "rubbish"), ("a token that was never issued", &never_issued)]
        .map(|(name, token)| {
            let body =
                json!({ "token": token, "user_name": "mine", "password": "three words of mine" }).to_string();
            attempt(name, "POST", "/v1/invitations/accept", &body, Aim::Callers)
        })
        .to_vec()
}

/// The victim's invitation, and none.
pub(super) fn of_invitations(world: &World) -> Vec<Attempt> {
    let ids = [world.people.victims_invitation.as_str(), "00000000-0000-0000-0000-000000000000", "x"];
    let of = |id: &str| {
        let aim = if id == ids[0] { Aim::User(VICTIM) } else { Aim::NotThere };
        attempt(&format!("invitation {id:.8}"), "DELETE", &format!("/v1/invitations/{id}"), "", aim)
    };
    ids.map(of).to_vec()
}

/// The victim's admin, and nobody.
pub(super) fn of_users(world: &World, method: &str, path: &str, body: &str) -> Vec<Attempt> {
    let victim = world.people.victims_admin.user_id.as_str();
    [
        ("the victim's admin", victim, Aim::User(VICTIM)),
        ("nobody", "00000000-0000-0000-0000-000000000000", Aim::NotThere),
        ("no id", "x", Aim::NotThere),
    ]
    .map(|(name, id, aim)| attempt(name, method, &path.replace("{user_id}", id), body, aim))
    .to_vec()
}

/// Every read shows people their own: a route that shows them nothing would show a stranger nothing either, and prove nothing.
pub(super) async fn cases(world: &World) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let people = &world.people;
    for (who, of, must_show) in [
        (&people.victims_admin, "an admin", world.victim.store.as_str()),
        (&people.victims_manager, "a manager", "T02"),
        (&people.strangers_viewer, "a viewer", world.stranger.store.as_str()),
    ] {
        for route in KNOWN.iter().filter(|route| route.method == "GET") {
            if let Door::Reader(needed) = route.door
                && who.permissions.contains(&needed)
                && !super::SHOWS_NOTHING_OWN.contains(&route.path)
            {
                cases.push(sees_its_own(world, route, who, of, must_show).await?);
            }
        }
    }
    Ok(cases)
}

async fn sees_its_own(
    world: &World,
    route: &Route,
    who: &Somebody,
    of: &str,
    store: &str,
) -> anyhow::Result<Case> {
    let target = if route.path.starts_with("/api/v1/") {
        let attempts = (route.attempts)(world);
        attempts.first().map(|attempt| attempt.request.target.clone()).unwrap_or_default()
    } else {
        route.path.replace("{store_id}", store)
    };
    let request =
        Request::new("GET", &target).with("host", "storepulse.example").with("authorization", &who.bearer);
    let answer = wire::send(world.address, &request).await?;
    let own = format!("canary-{}-{store}", who.tenant);
    let is_shown = answer.status == 200 && (answer.text().contains(&own) || answer.text().contains(store));
    let fault = || (!is_shown).then(|| format!("{} {}", answer.status, answer.text()));
    let leak = shows(&world.canaries_for_person(who), &answer, &request).or_else(fault);
    Ok(Case::new(format!("{} shows {of} of {} its own", route.path, who.tenant), leak))
}
