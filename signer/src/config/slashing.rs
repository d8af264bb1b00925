//! How the slashing database is used.

use std::num::NonZeroU64;

use clap::Args;
use slashing_db::{Options, Pruning};

/// How the slashing database is used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Slashing protection")]
pub struct SlashingArgs {
    /// Sign with a slashing database that looks restored from an old copy. Import a newer export first,
    /// or wait two epochs. For one start only: the log says what it accepted, or that it was not needed.
    #[arg(long)]
    pub accept_restored_database: bool,

    /// Whether old records are removed in the background. A watermark in their place forbids whatever they
    /// did.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub slashing_protection_pruning_enabled: bool,

    /// Epochs whose records are kept, back from the last one of each validator.
    #[arg(long, value_name = "EPOCHS", default_value_t = Pruning::default().keep_epochs)]
    pub slashing_protection_pruning_epochs_to_keep: NonZeroU64,
}

/// As the options are without being given.
impl Default for SlashingArgs {
    fn default() -> Self {
        Self {
            accept_restored_database: false,
            slashing_protection_pruning_enabled: true,
            slashing_protection_pruning_epochs_to_keep: Pruning::default().keep_epochs,
        }
    }
}

impl SlashingArgs {
    /// What the database is opened with, on a chain with so many slots per epoch.
    #[must_use]
    pub fn options(&self, slots_per_epoch: NonZeroU64) -> Options {
        let keep_epochs = self.slashing_protection_pruning_epochs_to_keep;
        let pruning = Pruning { keep_epochs, slots_per_epoch };
        Options {
            accept_restored: self.accept_restored_database,
            pruning: self.slashing_protection_pruning_enabled.then_some(pruning),
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        slashing: SlashingArgs,
    }

    #[test]
    fn what_is_kept_is_what_the_options_say() {
        let slots_per_epoch = NonZeroU64::new(16).unwrap();
        let pruning = |option: &str| {
            let command = Command::try_parse_from(["synod", option]).ok()?;
            Some(command.slashing.options(slots_per_epoch).pruning)
        };
        let keeping = |epochs| {
            let keep_epochs = NonZeroU64::new(epochs).unwrap();
            Some(Some(Pruning { keep_epochs, slots_per_epoch }))
        };
        assert_eq!(pruning("--slashing-protection-pruning-enabled"), keeping(250));
        assert_eq!(pruning("--slashing-protection-pruning-epochs-to-keep=7"), keeping(7));
        assert_eq!(pruning("--slashing-protection-pruning-enabled=false"), Some(None));
        // Nothing at all cannot be kept: there is always a last record.
        assert_eq!(pruning("--slashing-protection-pruning-epochs-to-keep=0"), None);
    }
}
