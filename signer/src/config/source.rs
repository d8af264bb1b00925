//! Where option values come from: command line, environment, file, defaults.
//!
//! The file's values become defaults of the command before it is parsed, so that they go through the
//! same parsers and show in `--help` as what they are.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::yaml;

/// The configuration file that is read from the data directory if `--config-file` names none.
pub const CONFIG_FILE_NAME: &str = "synod.toml";
/// What the names of environment variables begin with.
const ENV_PREFIX: &str = "SYNOD_";

/// Web3Signer's, which the commands in its place read too: of its options, and of its subcommand's.
const WEB3SIGNER_PREFIXES: [&str; 2] = ["WEB3SIGNER_", "WEB3SIGNER_ETH2_"];
/// Those commands, and all below them: the signer, and what works on its slashing database, which has to
/// find the one that the signer uses.
const WEB3SIGNER_COMMANDS: [&str; 2] = ["standalone", "slashing-protection"];

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line cannot be used, or asks for help or the version; print it with
    /// [`clap::Error::exit`].
    #[error(transparent)]
    CommandLine(clap::Error),
    /// The value of an environment variable cannot be used.
    #[error("environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// The configuration file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("configuration file {} is not TOML: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// The configuration file has the name of a YAML file and is none, or not of this form.
    #[error("configuration file {} is not YAML with options: {reason}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// A key of the configuration file is no option of any command.
    #[error(
        "configuration file {}: unknown key `{key}`; keys are the names of options, without the \
         leading dashes, as `{command} --help` shows them",
        path.display()
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The command that was run.
        command: String,
    },
    /// A value of the configuration file cannot be used.
    #[error("configuration file {}: key `{key}`: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
}

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

/// Parses the program's arguments (the first is the program's name) with values from the environment
/// and, for a subcommand that has `--config-file`, from its configuration file.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse<T: CommandFactory + FromArgMatches>(
    args: impl IntoIterator<Item = OsString>,
) -> Result<T, ConfigError> {
    let command = with_environment(T::command(), false);
    let args = with_values_joined(&command, args);
    let file = File::of_command_line(&command, &args)?;
    let filled = match &file {
        Some(file) => file.fill(command)?,
        None => command,
    };
    let matches = filled
        .try_get_matches_from(&args)
        .map_err(|error| name_origin(error, &args, file.as_ref()))?;
    T::from_arg_matches(&matches).map_err(ConfigError::from)
}

/// Makes `--option true` `--option=true` where the value may be left out: so written it cannot be confused
/// with what comes next. Web3Signer takes both.
fn with_values_joined(
    command: &Command,
    args: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for arg in args {
        match joined.last_mut() {
            Some(before) if (arg == "true" || arg == "false") && is_switch(command, before) => {
                before.push("=");
                before.push(arg);
            }
            _ => joined.push(arg),
        }
    }
    joined
}

/// Whether this is an option, of `command` or of a command below it, whose value may be left out.
fn is_switch(command: &Command, arg: &OsStr) -> bool {
    let Some(long) = arg.to_str().and_then(|arg| arg.strip_prefix("--")) else { return false };
    let here =
        command.get_arguments().any(|arg| arg.is_require_equals_set() && is_named(arg, long));
    here || command.get_subcommands().any(|below| is_switch(below, arg))
}

/// Lets every option be given by its environment variable; by Web3Signer's too if `web3signer`, or if this is
/// one of the commands that read those.
fn with_environment(command: Command, web3signer: bool) -> Command {
    let web3signer = web3signer || WEB3SIGNER_COMMANDS.contains(&command.get_name());
    command
        .mut_args(|arg| {
            let Some(long) = arg.get_long() else { return arg };
            let own = variable(ENV_PREFIX, long);
            let set = web3signer.then(|| web3signer_variable(&arg)).flatten();
            // An option has one variable: Web3Signer's if that is set and the program's own is not.
            match set {
                Some(other) if !is_set(&own) => arg.env(other),
                _ => arg.env(own),
            }
        })
        .mut_subcommands(|below| with_environment(below, web3signer))
}

/// `SYNOD_HTTP_LISTEN_PORT` for `http-listen-port`.
fn variable(prefix: &str, long: &str) -> String {
    format!("{prefix}{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// The variable of Web3Signer's that is set for an option, by its name or one of its aliases.
fn web3signer_variable(arg: &Arg) -> Option<String> {
    let names = arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
    names
        .flat_map(|long| WEB3SIGNER_PREFIXES.map(|prefix| variable(prefix, long)))
        .find(|name| is_set(name))
}

fn is_set(name: &str) -> bool {
    std::env::var_os(OsStr::new(name)).is_some()
}

/// A configuration file that was read, for one subcommand.
struct File {
    path: PathBuf,
    /// Names from the program's down to the command's.
    command: Vec<String>,
    /// Keys with their values, an array's one by one.
    values: Vec<(String, Vec<String>)>,
}

impl File {
    /// Reads the file that the command line and the environment name, or the one in the data directory.
    fn of_command_line(command: &Command, args: &[OsString]) -> Result<Option<Self>, ConfigError> {
        // Values that the file will give may still be missing, and mistakes are reported later.
        let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(args) else {
            return Ok(None);
        };
        let (names, chosen, matches) = innermost(command, &matches);
        let has = |id: &str| chosen.get_arguments().any(|arg| arg.get_id() == id);
        if !has("config_file") {
            return Ok(None);
        }
        let named = matches.get_one::<PathBuf>("config_file").cloned();
        let in_data_dir = || {
            let dir = has("data_dir").then(|| matches.get_one::<PathBuf>("data_dir"));
            dir.flatten().map(|dir| dir.join(CONFIG_FILE_NAME))
        };
        let must_exist = named.is_some();
        let Some(path) = named.or_else(in_data_dir) else { return Ok(None) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
                return Ok(None);
            }
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let values = read_values(&path, &text)?;
        let file = Self { path, command: names, values };
        file.check_keys(command, must_exist)?;
        Ok(Some(file))
    }

    /// One file serves all commands of the program: what is an option of another command is left
    /// alone.
    fn check_keys(&self, program: &Command, named: bool) -> Result<(), ConfigError> {
        for (key, _) in &self.values {
            if !is_option_somewhere(program, key) || key == "config-file" {
                return Err(ConfigError::UnknownKey {
                    path: self.path.clone(),
                    key: key.clone(),
                    command: self.command.join(" "),
                });
            }
            if key == "data-dir" && !named {
                let reason = "the file was found in the data directory; name it with --config-file \
                              to set another";
                return Err(self.bad_value(key, reason.to_owned()));
            }
        }
        Ok(())
    }

    /// Makes the file's values the defaults of its command.
    fn fill(&self, command: Command) -> Result<Command, ConfigError> {
        self.fill_below(command, self.command.get(1..).unwrap_or_default())
    }

    fn fill_below(&self, command: Command, path: &[String]) -> Result<Command, ConfigError> {
        if let Some((name, rest)) = path.split_first() {
            let Some(inner) = command.find_subcommand(name).cloned() else { return Ok(command) };
            let inner = self.fill_below(inner, rest)?;
            return Ok(command.mut_subcommand(name, |_| inner));
        }
        let mut command = command;
        for (key, values) in &self.values {
            let Some(id) = id_of(&command, key) else { continue };
            command = command.mut_arg(id, |arg| arg.default_values(values.clone()));
        }
        Ok(command)
    }

    fn bad_value(&self, key: &str, reason: String) -> ConfigError {
        ConfigError::Value { path: self.path.clone(), key: key.to_owned(), reason }
    }
}

/// The command that was chosen at the bottom, the names down to it, and its matches.
fn innermost<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
) -> (Vec<String>, &'a Command, &'a ArgMatches) {
    let (mut command, mut matches) = (command, matches);
    let mut names = vec![command.get_name().to_owned()];
    while let Some((name, inner)) = matches.subcommand() {
        let Some(subcommand) = command.find_subcommand(name) else { break };
        (command, matches) = (subcommand, inner);
        names.push(name.to_owned());
    }
    (names, command, matches)
}

/// Whether `key` names an option of `command` or of a command below it.
fn is_option_somewhere(command: &Command, key: &str) -> bool {
    id_of(command, key).is_some()
        || command.get_subcommands().any(|below| is_option_somewhere(below, key))
}

/// The id of the option that `key` names, by its name or one of its aliases.
fn id_of(command: &Command, key: &str) -> Option<String> {
    command.get_arguments().find(|arg| is_named(arg, key)).map(|arg| arg.get_id().to_string())
}

fn is_named(arg: &Arg, key: &str) -> bool {
    arg.get_long() == Some(key)
        || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&key))
}

/// What is wrong with the TOML, and in which line, in one line of text.
fn toml_reason(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {message}"),
        None => message,
    }
}

fn read_values(path: &Path, text: &str) -> Result<Vec<(String, Vec<String>)>, ConfigError> {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    if ["yaml", "yml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml)) {
        return yaml::read(text)
            .map_err(|reason| ConfigError::Yaml { path: path.to_owned(), reason });
    }
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Toml {
        path: path.to_owned(),
        reason: toml_reason(text, &error),
    })?;
    let bad = |key: &str, found: &str| ConfigError::Value {
        path: path.to_owned(),
        key: key.to_owned(),
        reason: format!(
            "expected a string, a number, a boolean or an array of them, found {found}"
        ),
    };
    table
        .into_iter()
        .map(|(key, value)| {
            let values = match value {
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| scalar(item).ok_or_else(|| bad(&key, item.type_str())))
                    .collect::<Result<_, _>>()?,
                single => {
                    vec![scalar(&single).ok_or_else(|| bad(&key, single.type_str()))?]
                }
            };
            Ok((key, values))
        })
        .collect()
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// The error with the place that the refused value came from, where that is not the command line.
fn name_origin(error: clap::Error, args: &[OsString], file: Option<&File>) -> ConfigError {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error.into();
    };
    // Shown as `--http-listen-port <PORT>`.
    let Some(long) = shown.split([' ', '=', '[']).next().and_then(|flag| flag.strip_prefix("--"))
    else {
        return error.into();
    };
    let on_command_line = args.iter().filter_map(|arg| arg.to_str()).any(|arg| {
        arg.strip_prefix("--")
            .is_some_and(|arg| arg.split_once('=').map_or(arg, |(name, _)| name) == long)
    });
    if on_command_line {
        return error.into();
    }
    let reason = error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let prefixes = [ENV_PREFIX].into_iter().chain(WEB3SIGNER_PREFIXES);
    if let Some(name) = prefixes.map(|prefix| variable(prefix, long)).find(|name| is_set(name)) {
        return ConfigError::Environment { name, reason };
    }
    match file {
        Some(file) if file.values.iter().any(|(key, _)| key == long) => {
            file.bad_value(long, reason)
        }
        _ => error.into(),
    }
}
