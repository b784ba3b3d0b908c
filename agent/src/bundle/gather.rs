//! What goes into a bundle, collected from where it is: the agent, the spool, the box. Nothing here is redacted yet.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::heard::{self, Told};
use super::redact::Configuration;
use super::{BundleError, BundleSource, Tell, facts};
use crate::collector::Ports;
use crate::spool;
use crate::status::{Machine, Network};
use crate::time::now_ms;

/// Steps of which is told.
pub(super) const STEPS: usize = 7;

/// All of it.
pub(super) struct Gathered {
    pub made_ms: i64,
    pub config_path: PathBuf,
    pub configuration: Configuration,
    pub agent: Told,
    pub doctor: Option<Value>,
    /// As the agent tells it, or as it lies there.
    pub spool: Result<Value, String>,
    pub quarantine: Result<Value, String>,
    pub ports: Value,
    pub machine: Value,
    pub network: Value,
    pub container: Vec<(&'static str, String)>,
    pub kernel: Result<Vec<String>, String>,
    pub environment: Vec<String>,
}

/// Collects; what blocks is done beside the runtime.
pub(super) async fn gather(source: BundleSource, tell: &mut Tell<'_>) -> Result<Gathered, BundleError> {
    let BundleSource { config_path, support, doctor } = source;
    tell(0, STEPS, "reading the configuration");
    let path = config_path.clone();
    let configuration = blocking(move || Configuration::load(&path)).await?;
    tell(1, STEPS, "asking the agent");
    let agent = match support {
        Some(support) => Told::from(support.hear().await.map_err(|error| error.to_string())),
        None => heard::ask(&configuration).await,
    };
    tell(2, STEPS, "looking into the spool");
    let dir = configuration.state_dir.clone();
    let known = agent.status.as_ref().ok().map(|status| status["spool"].clone());
    let (spool, quarantine) = blocking(move || look(dir, known)).await?;
    tell(3, STEPS, "looking at the ports");
    let ports = blocking(|| json!(Ports::default().list())).await?;
    tell(4, STEPS, "looking at the box");
    let dir = configuration.state_dir.clone().unwrap_or_default();
    let root = Path::new("/");
    let (machine, network) =
        blocking(move || (json!(Machine::read(root, &dir)), json!(Network::read(root)))).await?;
    let (container, kernel) = blocking(|| (facts::container("/".as_ref()), facts::kernel())).await?;
    tell(5, STEPS, "looking for faults");
    let doctor = match doctor {
        Some(doctor) => Some(doctor.await),
        None => None,
    };
    Ok(Gathered {
        made_ms: now_ms(),
        config_path,
        configuration,
        agent,
        doctor,
        spool,
        quarantine,
        ports,
        machine,
        network,
        container,
        kernel,
        environment: facts::environment(),
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BundleError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

type Looked = Result<Value, String>;

/// The spool, unless its state is known, and what is in quarantine.
fn look(dir: Option<PathBuf>, known: Option<Value>) -> (Looked, Looked) {
    let Some(dir) = dir else {
        let why = || Err("the configuration names no state folder".to_owned());
        return (known.map_or_else(why, Ok), why());
    };
    let spool = match known {
        Some(spool) => Ok(spool),
        None => spool::look(&dir).map(|spool| json!(spool)).map_err(|error| error.to_string()),
    };
    (spool, spool::quarantine(&dir).map(|items| json!(items)).map_err(|error| error.to_string()))
}
