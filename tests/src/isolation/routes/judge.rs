//! What a caller is owed, and whether that is what it got.
//!
//! "Not yours" and "does not exist" are one answer, byte for byte, and so is every refusal of one kind: it is compared
//! with one that was fetched beforehand. An answer about the caller's own must be one, and show nothing of anybody else.

use std::collections::BTreeMap;

use super::attempts::{Aim, Attempt};
use super::credentials::{Credential, Standing};
use super::forgeries::Forgery;
use super::known::{Door, Route};
use crate::isolation::canary::{Canary, sighting};
use crate::isolation::case::Case;
use crate::isolation::people::Somebody;
use crate::isolation::place::Place;
use crate::isolation::wire::{self, Answer, Request};
use crate::isolation::world::{NOBODYS_STORE, World};

/// The answers that all others of their kind must be equal to.
#[derive(Debug)]
pub(super) struct References {
    unauthorized: Answer,
    not_found: Answer,
    mismatch: Answer,
    suspended_tenant: Answer,
    suspended_store: Answer,
    /// Of routes that tell everybody the same.
    open: BTreeMap<String, Answer>,
}

/// What a caller is owed.
#[derive(Debug)]
enum Owed<'a> {
    /// This answer.
    Exactly(&'a Answer),
    /// This answer, or 400: the text could not even be read.
    ExactlyOrBadRequest(&'a Answer),
    /// Something about the caller's own.
    Own,
    /// The same, or this answer.
    OwnOr(&'a Answer),
    /// 200, whoever asks.
    Ok,
    /// A refusal of this status, whose words depend on what is refused.
    Refused(u16),
    /// Some refusal.
    AnyRefusal,
    /// Elsewhere, to where a browser goes; or a refusal.
    Moved,
}

impl References {
    pub(super) async fn fetch(world: &World, open: &[&Route]) -> anyhow::Result<Self> {
        let ask = async |place: Option<&Place>, target: &str, claim: Option<&str>| {
            let mut request = Request::new("GET", target).with("host", "storepulse.example");
            if let Some(place) = place {
                request = request.with("authorization", &place.bearer());
            }
            if let Some(claim) = claim {
                request = request.with("x-tenant-id", claim);
            }
            wire::send(world.address, &request).await
        };
        let (stores, nobodys) = ("/v1/stores", format!("/v1/stores/{NOBODYS_STORE}/status"));
        let mut references = Self {
            unauthorized: ask(None, stores, None).await?,
            not_found: ask(Some(&world.stranger), &nobodys, None).await?,
            mismatch: ask(Some(&world.stranger), stores, Some("nobody")).await?,
            suspended_tenant: ask(Some(&world.suspended_tenant), stores, None).await?,
            suspended_store: ask(Some(&world.suspended_store), stores, None).await?,
            open: BTreeMap::new(),
        };
        for route in open {
            references.open.insert(route.path.to_owned(), ask(None, route.path, None).await?);
        }
        Ok(references)
    }

    /// They are refusals themselves, and show nobody.
    pub(super) fn cases(&self, world: &World) -> Vec<Case> {
        let canaries = world.canaries_for_store(None);
        let refusals = [
            ("nobody", 401, &self.unauthorized),
            ("a store that nobody has", 404, &self.not_found),
            ("an X-Tenant-ID that disagrees", 403, &self.mismatch),
            ("a suspended tenant", 403, &self.suspended_tenant),
            ("a suspended store", 403, &self.suspended_store),
        ];
        let open = self.open.iter().map(|(path, answer)| (path.as_str(), 200, answer));
        let case = |(name, status, answer): (&str, u16, &Answer)| {
            let fault = || (answer.status != status).then(|| format!("{} {}", answer.status, answer.text()));
            let leak = sighting(&canaries, &answer.text(), "").or_else(fault);
            Case::new(format!("{name} is answered {status}"), leak)
        };
        refusals.into_iter().chain(open).map(case).collect()
    }

    /// The one 404.
    pub(super) fn not_found(&self) -> &Answer {
        &self.not_found
    }

    /// The one 401.
    pub(super) fn unauthorized(&self) -> &Answer {
        &self.unauthorized
    }

    fn owed(&self, route: &Route, standing: Standing<'_>, forgery: &Forgery, aim: &Aim) -> Owed<'_> {
        match (route.door, standing) {
            (Door::OpenWithNumbers, _) => Owed::Ok,
            (Door::Open, _) => self.open.get(route.path).map_or(Owed::Ok, Owed::Exactly),
            (Door::SignIn, _) => Owed::AnyRefusal,
            (Door::Elsewhere, _) => Owed::Moved,
            (Door::Reader(_) | Door::Person(_) | Door::Session, Standing::OtherSitesPage(_))
                if route.method != "GET" =>
            {
                Owed::Refused(403)
            }
            (
                Door::Reader(needed) | Door::Person(needed),
                Standing::Person(who) | Standing::OtherSitesPage(who),
            ) => self.owed_to_person(who, needed, forgery, aim),
            (Door::Session, Standing::Person(who) | Standing::OtherSitesPage(who)) if who.has_session() => {
                self.owed_to_person(who, "", forgery, aim)
            }
            (Door::Session, Standing::Person(_)) => Owed::Refused(403),
            (Door::Reader(_) | Door::Person(_) | Door::Session, Standing::PersonOfSuspendedTenant) => {
                Owed::Exactly(&self.suspended_tenant)
            }
            (Door::Operator | Door::Person(_) | Door::Session, _)
            | (
                Door::StoreKey,
                Standing::Person(_) | Standing::OtherSitesPage(_) | Standing::PersonOfSuspendedTenant,
            )
            | (Door::StoreKey | Door::Reader(_), Standing::Nobody | Standing::Operator) => {
                Owed::Exactly(&self.unauthorized)
            }
            (Door::StoreKey | Door::Reader(_), Standing::OfSuspendedTenant) => {
                Owed::Exactly(&self.suspended_tenant)
            }
            (Door::StoreKey | Door::Reader(_), Standing::OfSuspendedStore) => {
                Owed::Exactly(&self.suspended_store)
            }
            (Door::StoreKey | Door::Reader(_), Standing::Agent(place) | Standing::AgentOrNobody(place)) => {
                if forgery.claims.iter().any(|claim| *claim != place.tenant.as_str()) {
                    return Owed::Exactly(&self.mismatch);
                }
                match aim {
                    Aim::Callers => Owed::Own,
                    Aim::CallersOrGone => Owed::OwnOr(&self.not_found),
                    Aim::Store(name) if *name == place.store.as_str() => Owed::Own,
                    Aim::NotJoined => Owed::Refused(403),
                    Aim::Store(_) | Aim::User(_) | Aim::NotThere => Owed::Exactly(&self.not_found),
                    Aim::Nonsense => Owed::ExactlyOrBadRequest(&self.not_found),
                }
            }
        }
    }

    fn owed_to_person(&self, who: &Somebody, needed: &str, forgery: &Forgery, aim: &Aim) -> Owed<'_> {
        if forgery.claims.iter().any(|claim| *claim != who.tenant) {
            return Owed::Exactly(&self.mismatch);
        }
        if !needed.is_empty() && !who.permissions.contains(&needed) {
            return Owed::Refused(403);
        }
        match aim {
            Aim::Callers => Owed::Own,
            Aim::CallersOrGone => Owed::OwnOr(&self.not_found),
            Aim::Store(name) if who.sees(name) && World::has_store(&who.tenant, name) => Owed::Own,
            Aim::User(tenant) if *tenant == who.tenant => Owed::Own,
            Aim::NotJoined => Owed::Refused(403),
            Aim::Store(_) | Aim::User(_) | Aim::NotThere => Owed::Exactly(&self.not_found),
            Aim::Nonsense => Owed::ExactlyOrBadRequest(&self.not_found),
        }
    }

    /// What is wrong with an answer.
    pub(super) fn fault(
        &self,
        route: &Route,
        credential: &Credential<'_>,
        forgery: &Forgery,
        attempt: &Attempt,
        answer: &Answer,
    ) -> Option<String> {
        if matches!(credential.standing, Standing::AgentOrNobody(_)) && *answer == self.unauthorized {
            return None;
        }
        match self.owed(route, credential.standing, forgery, &attempt.aim) {
            Owed::Exactly(owed) => differs(answer, owed),
            Owed::ExactlyOrBadRequest(owed) if answer.status != 400 => differs(answer, owed),
            Owed::OwnOr(gone) if answer.status != 200 => differs(answer, gone),
            Owed::Own if is_wrong_password(answer) => None,
            Owed::Own if !matches!(answer.status, 200 | 201 | 204 | 400 | 409 | 410 | 422) => {
                Some(format!("the caller's own is answered {}", answer.text()))
            }
            Owed::Ok if answer.status != 200 => Some(format!("{} {}", answer.status, answer.text())),
            Owed::Refused(status) if answer.status != status => {
                Some(format!("{} {} instead of {status}", answer.status, answer.text()))
            }
            Owed::Moved if !matches!(answer.status, 303 | 400 | 404 | 429 | 503) => {
                Some(format!("{} {} instead of a way elsewhere", answer.status, answer.text()))
            }
            Owed::AnyRefusal if !matches!(answer.status, 400 | 401 | 404 | 409 | 422 | 429 | 503) => {
                Some(format!("{} {} instead of a refusal", answer.status, answer.text()))
            }
            Owed::ExactlyOrBadRequest(_)
            | Owed::Own
            | Owed::OwnOr(_)
            | Owed::Ok
            | Owed::Refused(_)
            | Owed::AnyRefusal
            | Owed::Moved => None,
        }
    }
}

/// Who is signed in and does not know her own password, once or too often.
fn is_wrong_password(answer: &Answer) -> bool {
    matches!(answer.status, 401 | 429 | 503)
        && ["sign_in_failed", "rate_limited", "overloaded"].iter().any(|code| answer.text().contains(code))
}

/// How an answer can be told from the one that it must be equal to.
pub(super) fn differs(answer: &Answer, owed: &Answer) -> Option<String> {
    (answer != owed)
        .then(|| format!("{} {} instead of {} {}", answer.status, answer.text(), owed.status, owed.text()))
}

/// What an answer shows of others.
pub(super) fn shows(canaries: &[Canary], answer: &Answer, request: &Request) -> Option<String> {
    sighting(canaries, &answer.text(), &request.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, head: vec!["content-type: text/plain".into()], body: body.into() }
    }

    #[test]
    fn one_byte_of_difference_is_a_difference() {
        assert_eq!(differs(&answer(404, "no"), &answer(404, "no")), None);
        assert!(differs(&answer(404, "no."), &answer(404, "no")).is_some());
        assert!(differs(&answer(403, "no"), &answer(404, "no")).is_some());
        let mut other_head = answer(404, "no");
        other_head.head.push("x-store: known".into());
        assert!(differs(&other_head, &answer(404, "no")).is_some());
    }

    #[test]
    fn what_others_have_is_found_in_head_and_body() {
        let canaries = [Canary { of: "la-villa".into(), text: "wren".into() }];
        let request = Request::new("GET", "/");
        assert!(shows(&canaries, &answer(200, "a wren"), &request).is_some());
        let mut in_head = answer(200, "");
        in_head.head.push("etag: wren".into());
        assert!(shows(&canaries, &in_head, &request).is_some());
        assert_eq!(shows(&canaries, &answer(200, "a wren"), &request.with("x", "wren")), None);
    }
}
