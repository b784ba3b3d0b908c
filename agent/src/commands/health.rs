//! `health`: the container health check; no curl is needed in the image.

use std::process::ExitCode;

use crate::config::Config;

pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    match super::ask(config, "/health").await {
        Ok((200, _)) => Ok(ExitCode::SUCCESS),
        Ok((status, text)) => {
            super::say(&format!("unhealthy ({status}): {text}"));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            super::say(&format!("the agent does not answer on {}: {error}", config.local.listen));
            Ok(ExitCode::FAILURE)
        }
    }
}
