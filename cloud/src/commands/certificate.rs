//! `certificate`: an authority of our own and a server certificate, in a folder. Running services take a new one up by
//! themselves.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::tls;

#[derive(Args)]
pub(crate) struct CertificateArgs {
    /// The folder: ca.pem for agents, server.pem and server.key for the service; what is there and young enough stays
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Names and addresses of the service
    #[arg(long, env = "STOREPULSE_TLS_NAMES", value_delimiter = ',', default_values = ["localhost", "127.0.0.1"])]
    tls_name: Vec<String>,
}

pub(super) fn run(args: &CertificateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let files = tls::self_signed(&args.dir, &args.tls_name)?;
    writeln!(
        out,
        "{} is for {}; agents trust {}",
        files.cert.display(),
        args.tls_name.join(", "),
        tls::ca_file(&args.dir).display()
    )?;
    Ok(())
}
