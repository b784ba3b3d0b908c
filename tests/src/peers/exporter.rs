//! A tiny exporter in the Prometheus text format, whose values are hard to carry: extremes, text that needs escapes, what
//! has no value, and a series that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Runs while it is held.
pub(super) struct Exporter {
    pub(super) port: u16,
    scrapes: Arc<AtomicU64>,
    _task: JoinSet<std::io::Result<()>>,
}

impl Exporter {
    /// Serves `/metrics` on a free port of the loopback.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let scrapes = Arc::new(AtomicU64::new(0));
        let router = Router::new().route("/metrics", get(show)).with_state(Arc::clone(&scrapes));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port, scrapes, _task: task })
    }

    /// How often it was asked.
    pub(super) fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::Relaxed)
    }
}

async fn show(State(scrapes): State<Arc<AtomicU64>>) -> String {
    text(scrapes.fetch_add(1, Ordering::Relaxed) + 1)
}

/// What is there at the `n`th scrape.
fn text(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "few scrapes")]
    let number = n as f64;
    let odd = match n % 3 {
        0 => "NaN",
        1 => "+Inf",
        _ => "7",
    };
    // Here and gone again: Prometheus writes a stale marker each time.
    let guest = if n % 4 < 2 { format!("pos_guest{{lane=\"1\"}} {n}\n") } else { String::new() };
    format!(
        "# TYPE pos_receipts_total counter\n\
         pos_receipts_total{{till=\"1\"}} {n}\n\
         pos_receipts_total{{till=\"2\"}} {}\n\
         # TYPE pos_temperature gauge\n\
         pos_temperature{{shelf=\"a \\\"b\\\" \\\\ ñ\\n2\",empty=\"\"}} {}\n\
         pos_temperature{{shelf=\"tiny\"}} {}\n\
         pos_temperature{{shelf=\"huge\"}} {}\n\
         pos_temperature{{shelf=\"zero\"}} -0\n\
         pos_temperature{{shelf=\"odd\"}} {odd}\n\
         {guest}\
         # TYPE pos_duration_seconds histogram\n\
         pos_duration_seconds_bucket{{le=\"0.005\"}} {n}\n\
         pos_duration_seconds_bucket{{le=\"1\"}} {}\n\
         pos_duration_seconds_bucket{{le=\"+Inf\"}} {}\n\
         pos_duration_seconds_sum {}\n\
         pos_duration_seconds_count {}\n\
         # TYPE pos_weight summary\n\
         pos_weight{{quantile=\"0.5\"}} NaN\n\
         pos_weight{{quantile=\"0.99\"}} {}\n\
         pos_weight_sum {}\n\
         pos_weight_count {n}\n",
        n << 40,
        number / -7.0,
        f64::MIN_POSITIVE / number,
        f64::MAX / number,
        2 * n,
        3 * n,
        number * 0.1,
        3 * n,
        number.sqrt(),
        number.ln_1p(),
    )
}
