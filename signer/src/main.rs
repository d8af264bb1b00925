//! The `synod` program: reads the command line, runs the command, says what went wrong in one line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match signer::config::parse::<signer::cmd::Cli>(std::env::args_os()) {
        Ok(command) => command,
        Err(signer::config::ConfigError::CommandLine(error)) => error.exit(),
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
