//! What tests stand on: the run's folder and server, made by whoever comes first, deleted when the process ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use storepulse_testbed::cluster::{Cluster, TestDb};
use storepulse_testbed::run_dir::RunDir;
use tokio::sync::OnceCell;

static SHARED: OnceCell<(RunDir, Cluster)> = OnceCell::const_new();
static FOLDERS: AtomicU32 = AtomicU32::new(0);

async fn shared() -> &'static (RunDir, Cluster) {
    let made = SHARED.get_or_try_init(async || {
        let run_dir = RunDir::create("test")?;
        let cluster = Cluster::start(&run_dir, false).await?;
        anyhow::Ok((run_dir, cluster))
    });
    made.await.expect("a private PostgreSQL for the tests")
}

/// A migrated database with nothing in it.
pub async fn database() -> TestDb {
    shared().await.1.database().await.expect("a database of one's own")
}

/// A folder of one's own.
pub async fn folder() -> PathBuf {
    let name = format!("{}", FOLDERS.fetch_add(1, Ordering::Relaxed));
    shared().await.0.part(&name).expect("a folder of one's own")
}

/// The binary that plays agent and cloud as child processes.
pub fn testbed() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_storepulse-testbed"))
}
