//! Web3Signer's options that have no counterpart here: each is refused with the reason and what to do
//! instead, or taken and named in a warning, never unknown.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// The options that were given, with their values.
#[derive(Debug, Default)]
pub(super) struct Web3SignerOptions {
    given: Vec<Given>,
}

/// An option that was given. Its value may be a secret: it is only compared, never shown.
#[derive(Debug)]
struct Given {
    option: &'static ForeignOption,
    off: bool,
}

/// One of Web3Signer's options.
#[derive(Debug)]
struct ForeignOption {
    name: &'static str,
    verdict: Verdict,
}

/// What becomes of an option.
#[derive(Debug)]
enum Verdict {
    /// It means nothing here; leaving it out changes nothing.
    Ignored,
    /// It asks for what is not done here; why, and what to do instead. `=false` is fine.
    Refused(&'static str),
    /// It has to be on, which it is.
    AlwaysOn(&'static str),
}

use Verdict::{AlwaysOn, Ignored, Refused};

const NO_VAULT: &str = "keys are not fetched from vaults; store them as EIP-2335 keystores and give \
                        --key-config-path or --keystores-path";
const NO_FORK_OVERRIDE: &str = "give the whole configuration with --network FILE instead";
const NO_POSTGRES: &str = "slashing protection is in a file of the data directory here, not in \
                           PostgreSQL: export with `web3signer eth2 export --to FILE`, import with \
                           `synod slashing-protection import`, and leave this option out";
const PROTECTED: &str = "nothing is signed without slashing protection; its database is a file in the \
                         data directory and needs no setting up";

const fn ignored(name: &'static str) -> ForeignOption {
    ForeignOption { name, verdict: Ignored }
}

const fn refused(name: &'static str, reason: &'static str) -> ForeignOption {
    ForeignOption { name, verdict: Refused(reason) }
}

/// Web3Signer 26.4, and older names that start scripts still carry.
static OPTIONS: &[ForeignOption] = &[
    refused("azure-vault-enabled", NO_VAULT),
    refused("aws-secrets-enabled", NO_VAULT),
    refused("gcp-secrets-enabled", NO_VAULT),
    refused("commit-boost-api-enabled", "there is no commit-boost interface"),
    refused("Xkey-manager-skip-keystore-storage", "imported keystores are always stored"),
    refused("Xsigning-ext-enabled", "there is no signing extension"),
    refused("metrics-push-enabled", "figures are not pushed; let Prometheus fetch them"),
    refused("slashing-protection-db-url", NO_POSTGRES),
    ForeignOption { name: "slashing-protection-enabled", verdict: AlwaysOn(PROTECTED) },
    refused("Xnetwork-altair-fork-epoch", NO_FORK_OVERRIDE),
    refused("Xnetwork-bellatrix-fork-epoch", NO_FORK_OVERRIDE),
    refused("Xnetwork-capella-fork-epoch", NO_FORK_OVERRIDE),
    refused("Xnetwork-deneb-fork-epoch", NO_FORK_OVERRIDE),
    refused("Xnetwork-electra-fork-epoch", NO_FORK_OVERRIDE),
    refused("Xnetwork-fulu-fork-epoch", NO_FORK_OVERRIDE),
    refused("Xnetwork-gloas-fork-epoch", NO_FORK_OVERRIDE),
    // Details of what is refused above, or not there at all.
    ignored("azure-vault-auth-mode"),
    ignored("azure-vault-name"),
    ignored("azure-client-id"),
    ignored("azure-client-secret"),
    ignored("azure-tenant-id"),
    ignored("azure-response-timeout"),
    ignored("azure-secrets-tags"),
    ignored("azure-tags"),
    ignored("aws-secrets-auth-mode"),
    ignored("aws-secrets-access-key-id"),
    ignored("aws-secrets-secret-access-key"),
    ignored("aws-secrets-region"),
    ignored("aws-secrets-prefixes-filter"),
    ignored("aws-secrets-tag"),
    ignored("aws-endpoint-override"),
    ignored("aws-connection-cache-size"),
    ignored("gcp-project-id"),
    ignored("gcp-secrets-filter"),
    ignored("proxy-keystores-path"),
    ignored("proxy-keystores-password-file"),
    ignored("metrics-push-host"),
    ignored("metrics-push-port"),
    ignored("metrics-push-interval"),
    ignored("metrics-push-prometheus-job"),
    // Of the Java program.
    ignored("vertx-worker-pool-size"),
    ignored("metrics-category"),
    ignored("metrics-categories"),
    ignored("access-logs-enabled"),
    ignored("swagger-ui-enabled"),
    ignored("Xtrusted-setup"),
    ignored("idle-connection-timeout-seconds"),
    ignored("http-cors-origins"),
    // Loading needs none of them.
    ignored("key-store-config-file-max-size"),
    ignored("reload-timeout"),
    ignored("signer-load-timeout"),
    ignored("signer-load-batch-size"),
    ignored("signer-load-sequential-threshold"),
    ignored("signer-load-parallel"),
    // Of PostgreSQL, or done by the database itself.
    ignored("slashing-protection-db-username"),
    ignored("slashing-protection-db-password"),
    ignored("slashing-protection-db-pool-configuration-file"),
    ignored("slashing-protection-db-health-check-timeout-milliseconds"),
    ignored("slashing-protection-db-health-check-interval-milliseconds"),
    ignored("Xslashing-protection-db-connection-pool-enabled"),
    ignored("slashing-protection-pruning-slots-per-epoch"),
    ignored("slashing-protection-pruning-interval"),
    ignored("slashing-protection-pruning-at-boot-enabled"),
    ignored("slashing-protection-pruning-db-pool-configuration-file"),
];

/// An option that Web3Signer has and this program has not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--{option} is not supported: {reason}")]
pub(super) struct UnsupportedOption {
    option: &'static str,
    reason: &'static str,
}

impl Web3SignerOptions {
    /// Refuses what cannot be honoured.
    ///
    /// # Errors
    /// The first option of that kind.
    pub(super) fn refuse_unsupported(&self) -> Result<(), UnsupportedOption> {
        for Given { option, off } in &self.given {
            let reason = match (&option.verdict, off) {
                (Refused(reason), false) | (AlwaysOn(reason), true) => *reason,
                _ => continue,
            };
            return Err(UnsupportedOption { option: option.name, reason });
        }
        Ok(())
    }

    /// Names in the log what means nothing here.
    pub(super) fn warn_of_ignored(&self) {
        for Given { option, .. } in &self.given {
            if matches!(option.verdict, Ignored) {
                tracing::warn!("--{} means nothing here and is ignored", option.name);
            }
        }
    }
}

/// What to use instead of one of Web3Signer's commands, given the words after its name; `None` if they ask
/// for none that is known here. What follows an option that has no `=` is its value.
pub(super) fn hint(words: &[&str]) -> Option<String> {
    let before = std::iter::once("").chain(words.iter().copied());
    let is_value = |before: &str| before.starts_with("--") && !before.contains('=');
    let mut commands = words
        .iter()
        .zip(before)
        .filter(|(word, before)| !word.starts_with('-') && !is_value(before))
        .map(|(word, _)| *word);
    match commands.find(|word| ["eth1", "eth2"].contains(word))? {
        "eth1" => Some(
            "there is no `eth1` mode here: validators' keys (`eth2`) are the only ones that sign"
                .to_owned(),
        ),
        _ => {
            let command =
                commands.find(|word| ["import", "export", "watermark-repair"].contains(word))?;
            Some(format!(
                "`eth2 {command}` is a command of its own here: use `synod slashing-protection {command}` \
                 with the signer's --data-dir and --network"
            ))
        }
    }
}

impl Args for Web3SignerOptions {
    /// Adds those options that the command has not itself.
    fn augment_args(command: Command) -> Command {
        OPTIONS.iter().fold(command, |command, option| {
            let known = command.get_arguments().any(|arg| {
                arg.get_long() == Some(option.name)
                    || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&option.name))
            });
            if known {
                return command;
            }
            let arg = Arg::new(option.name).long(option.name).hide(true).num_args(0..=1);
            command.arg(arg.action(ArgAction::Append).default_missing_value("true"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Web3SignerOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given = OPTIONS
            .iter()
            .filter_map(|option| {
                // An error means that the command has an option of its own under this name.
                let mut values = matches.try_get_many::<String>(option.name).ok().flatten()?;
                let off =
                    values.next_back().is_some_and(|value| value.eq_ignore_ascii_case("false"));
                Some(Given { option, off })
            })
            .collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_web3signers_is_told_whatever_options_surround_it() {
        for (words, told) in [
            ("eth2 export", Some("synod slashing-protection export")),
            ("eth2 export --to=F", Some("synod slashing-protection export")),
            (
                "--data-path d eth2 --network hoodi export --to F",
                Some("slashing-protection export"),
            ),
            ("eth2 import --from=F", Some("synod slashing-protection import")),
            ("eth2 watermark-repair --slot=1", Some("slashing-protection watermark-repair")),
            ("eth1 --chain-id=1", Some("no `eth1` mode")),
            ("--http-listen-port=1 eth1", Some("no `eth1` mode")),
            ("--data-path eth1 --unknown", None),
            ("eth2 --network export --unknown", None),
            ("export --to=F", None),
            ("eth2 --unknown", None),
        ] {
            let hint = hint(&words.split(' ').collect::<Vec<_>>());
            match told {
                Some(told) => assert!(hint.is_some_and(|hint| hint.contains(told)), "{words}"),
                None => assert_eq!(hint, None, "{words}"),
            }
        }
    }
}
