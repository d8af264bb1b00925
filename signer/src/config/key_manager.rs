//! The key manager API's options.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::keymanager::token::{ApiToken, TOKEN_FILE};

/// Whether keys are managed over HTTP, and who may do that.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Key manager")]
pub struct KeyManagerArgs {
    /// Whether the key manager API is served, on the address of signing requests.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = false,
        default_missing_value = "true",
        alias = "enable-key-manager-api"
    )]
    pub key_manager_api_enabled: bool,

    /// File of the bearer token that the key manager API asks for; made if it is not there
    /// [default: api-token.txt in the data directory].
    #[arg(long, value_name = "FILE", alias = "keymanager-token-file")]
    pub key_manager_token_file: Option<PathBuf>,
}

impl KeyManagerArgs {
    /// Reads or makes the token, if the API is served.
    ///
    /// # Errors
    /// The file cannot be used, see [`TokenError`](crate::keymanager::token::TokenError).
    pub async fn token(&self, data_dir: &Path) -> anyhow::Result<Option<ApiToken>> {
        if !self.key_manager_api_enabled {
            return Ok(None);
        }
        let default = || data_dir.join(TOKEN_FILE);
        let path = self.key_manager_token_file.clone().unwrap_or_else(default);
        let shown = path.display().to_string();
        let token = tokio::task::spawn_blocking(move || ApiToken::open(&path)).await??;
        tracing::info!(token_file = shown, "the key manager API is served");
        Ok(Some(token))
    }
}
