//! The `synod` program: reads the command line, runs the command, says what went wrong in one line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let command = match signer::config::parse::<signer::cmd::Cli>(args.clone()) {
        Ok(command) => command,
        // The exit code of help and version is 0.
        Err(signer::config::ConfigError::CommandLine(error)) if error.exit_code() == 0 => {
            error.exit()
        }
        Err(signer::config::ConfigError::CommandLine(error)) => match signer::cmd::hint(&args) {
            Some(hint) => return fail(&anyhow::Error::msg(hint)),
            None => error.exit(),
        },
        Err(error) => return fail(&error.into()),
    };
    match signer::cmd::run(command) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("synod: {error:#}");
    ExitCode::FAILURE
}
