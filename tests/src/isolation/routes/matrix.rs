//! Every route × what is asked × who asks × what is forged, over the wire.

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use super::Forged;
use super::attempts::Attempt;
use super::credentials::{self, Credential, Standing};
use super::forgeries::{self, Forgery};
use super::judge::{References, shows};
use super::known::{Door, KNOWN, Route};
use crate::isolation::canary::Canary;
use crate::isolation::case::Case;
use crate::isolation::wire::{self, Request};
use crate::isolation::world::World;

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// None, and the victim's `X-Tenant-ID`.
const FORGERIES_OF_SPELLINGS: usize = 2;

/// All that is crossed.
pub(super) struct Matrix<'a> {
    world: &'a World,
    references: &'a References,
    routes: Vec<(&'static Route, Vec<Attempt>)>,
    /// With what its bearer must not be shown.
    credentials: Vec<(Credential<'a>, Vec<Canary>)>,
    forgeries: Vec<Forgery>,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(world: &'a World, references: &'a References, forged: Forged) -> Self {
        let forgeries = if forged == Forged::All { usize::MAX } else { FORGERIES_OF_SPELLINGS };
        let of = |credential: Credential<'a>| {
            let canaries = match credential.standing {
                Standing::Agent(place) | Standing::AgentOrNobody(place) => {
                    world.canaries_for_store(Some(place))
                }
                Standing::Person(who) | Standing::OtherSitesPage(who) => world.canaries_for_person(who),
                Standing::Nobody
                | Standing::OfSuspendedTenant
                | Standing::OfSuspendedStore
                | Standing::PersonOfSuspendedTenant
                | Standing::Operator => world.canaries_for_store(None),
            };
            (credential, canaries)
        };
        Self {
            world,
            references,
            routes: KNOWN.iter().map(|route| (route, (route.attempts)(world))).collect(),
            credentials: credentials::all(world).into_iter().map(of).collect(),
            forgeries: forgeries::all().into_iter().take(forgeries).collect(),
        }
    }

    /// A case for every combination.
    pub(super) fn cases(&self) -> impl Stream<Item = anyhow::Result<Case>> + '_ {
        let attempts = self
            .routes
            .iter()
            .flat_map(|(route, attempts)| attempts.iter().map(move |attempt| (*route, attempt)));
        let tries = attempts.flat_map(move |(route, attempt)| {
            self.credentials_for(route).flat_map(move |credential| {
                let forgeries = self.forgeries_for(attempt, &credential.0);
                forgeries.map(move |forgery| self.case(route, attempt, credential, forgery))
            })
        });
        futures_util::stream::iter(tries).buffer_unordered(AT_ONCE)
    }

    /// How many combinations there are.
    pub(super) fn len(&self) -> usize {
        let of = |(route, attempts): &(&Route, Vec<Attempt>)| {
            let tries = attempts.iter().flat_map(|attempt| {
                self.credentials_for(route)
                    .map(|(credential, _)| self.forgeries_for(attempt, credential).count())
            });
            tries.sum::<usize>()
        };
        self.routes.iter().map(of).sum()
    }

    /// An operator may do what its routes do: whether it is let in is told in [`super::operators`]. Whoever signs out has no
    /// session for the cases after that.
    fn credentials_for(&self, route: &Route) -> impl Iterator<Item = &(Credential<'a>, Vec<Canary>)> {
        let is_operators = route.door == Door::Operator;
        let signs_out = (route.method, route.path) == ("DELETE", "/v1/session");
        self.credentials.iter().filter(move |(credential, _)| match credential.standing {
            Standing::Operator => !is_operators,
            Standing::Person(_) | Standing::OtherSitesPage(_) => !signs_out,
            _ => true,
        })
    }

    fn forgeries_for(
        &self,
        attempt: &Attempt,
        credential: &Credential<'_>,
    ) -> impl Iterator<Item = &Forgery> {
        let is_one_of_many = attempt.is_spelling || credential.is_variant;
        self.forgeries.iter().take(if is_one_of_many { FORGERIES_OF_SPELLINGS } else { usize::MAX })
    }

    async fn case(
        &self,
        route: &Route,
        attempt: &Attempt,
        (credential, canaries): &(Credential<'_>, Vec<Canary>),
        forgery: &Forgery,
    ) -> anyhow::Result<Case> {
        let request = compose(attempt, credential, forgery);
        let answer = wire::send(self.world.address, &request).await?;
        let leak = shows(canaries, &answer, &request)
            .or_else(|| self.references.fault(route, credential, forgery, attempt, &answer));
        let name = format!(
            "{} {}, {}, with {} and {}",
            route.method, route.path, attempt.name, credential.name, forgery.name
        );
        Ok(Case::new(name, leak))
    }
}

fn compose(attempt: &Attempt, credential: &Credential<'_>, forgery: &Forgery) -> Request {
    let mut request = attempt.request.clone();
    if !forgery.headers.iter().any(|(name, _)| *name == "host") {
        request = request.with("host", "storepulse.example");
    }
    for (name, value) in credential.headers.iter().chain(&forgery.headers) {
        request = request.with(name, value);
    }
    if !forgery.query.is_empty() {
        request.target = format!("{}?{}", request.target, forgery.query);
    }
    request
}

/// The first leak, if there is one: enough to know that a cloud is a bad one.
pub(super) async fn first_leak(matrix: &Matrix<'_>) -> anyhow::Result<Option<String>> {
    let leaks = matrix
        .cases()
        .try_filter_map(async |case| Ok(case.leak.map(|leak| format!("{}: {leak}", case.name))));
    std::pin::pin!(leaks).try_next().await
}
