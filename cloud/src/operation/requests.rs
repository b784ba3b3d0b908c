//! How long requests take, by route and outcome: a batch that was stored is `POST /v1/metrics/batch` with 200, one that had to
//! wait 503, a reader's question `GET …`. No label names a tenant or a store: a route is named as it is declared.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;

/// 1 ms, 2 ms, … to 16 s.
const BUCKETS: (f64, f64, u16) = (0.001, 2.0, 15);

/// Which requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
}

/// Their times.
#[derive(Debug)]
pub(crate) struct RequestTimes(Times);

type Times = Family<Labels, Histogram, fn() -> Histogram>;

impl RequestTimes {
    /// Under its name.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let times = Times::new_with_constructor(|| {
            let (start, factor, length) = BUCKETS;
            Histogram::new(exponential_buckets(start, factor, length))
        });
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to the head of its answer, by route and status",
            Unit::Seconds,
            times.clone(),
        );
        Self(times)
    }
}

/// Times every request.
pub(crate) async fn time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = name(request.method());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let answer = next.run(request).await;
    let route = route.unwrap_or_else(|| "none".to_owned());
    let labels = Labels { method, route, status: answer.status().as_u16() };
    app.metrics.requests.0.get_or_create(&labels).observe(begun.elapsed().as_secs_f64());
    answer
}

/// What people invent as methods makes no series.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
