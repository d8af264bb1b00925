//! Configuration files in YAML, as Web3Signer has them: `http-listen-port: 9000`, and
//! `eth2.network: hoodi` for the options of its subcommand.

use saphyr_parser::{Event, Parser};

/// What Web3Signer writes before the options of its subcommand.
const SUBCOMMAND_PREFIX: &str = "eth2.";

/// Reads the options of a file with their values, a list's one by one.
///
/// # Errors
/// The text is not YAML, or not a mapping of names to scalars and lists of scalars; what and where.
pub(super) fn read(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut options: Vec<(String, Vec<String>)> = Vec::new();
    // How many mappings and lists are open: options are in the first mapping, values of lists below it.
    let mut depth = 0_usize;
    // Whether the last option's value, or the end of it, is still to come.
    let mut open = false;
    // As the file spells it.
    let mut last_name = String::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let expected = || {
            let key = if open { format!("key `{last_name}`: ") } else { String::new() };
            Err(format!(
                "line {}: {key}expected `name: value` with a string, a number, a boolean or a list of them",
                span.start.line()
            ))
        };
        match event {
            Event::MappingStart(..) if depth == 0 => depth = 1,
            Event::SequenceStart(..) if depth == 1 && open => depth = 2,
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                return expected();
            }
            Event::MappingEnd => depth = 0,
            Event::SequenceEnd => (depth, open) = (1, false),
            Event::Scalar(name, ..) if depth == 1 && !open => {
                last_name = name.into_owned();
                let name = last_name.strip_prefix(SUBCOMMAND_PREFIX).unwrap_or(&last_name);
                options.push((name.to_owned(), Vec::new()));
                open = true;
            }
            Event::Scalar(value, ..) if depth > 0 => {
                if let Some((_, values)) = options.last_mut() {
                    values.push(value.into_owned());
                }
                open = depth == 2;
            }
            Event::Scalar(value, ..) if !value.is_empty() => return expected(),
            _ => {}
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_with_their_values_as_text() {
        let text = "# base\nhttp-listen-port: 9000\nhttp-host-allowlist: [\"localhost\", signer]\n\
                    metrics-enabled: true\neth2.network: hoodi\n\
                    eth2.keystores-path: \"/keys\"\nlist:\n  - a\n  - b\nlast: 0x10\n";
        let read = read(text).unwrap();
        let read: Vec<_> =
            read.iter().map(|(name, values)| format!("{name}={}", values.join("+"))).collect();
        assert_eq!(
            read,
            [
                "http-listen-port=9000",
                "http-host-allowlist=localhost+signer",
                "metrics-enabled=true",
                "network=hoodi",
                "keystores-path=/keys",
                "list=a+b",
                "last=0x10"
            ]
        );
    }

    #[test]
    fn other_shapes_are_refused_with_the_line_and_the_key() {
        for (text, place) in [
            ("eth2:\n  network: hoodi\n", "line 2: key `eth2`:"),
            ("a: b\neth2.azure-tags: {a: b}\n", "line 2: key `eth2.azure-tags`:"),
            ("a: [[b]]", "line 1: key `a`:"),
            ("a: b\n? [c]\n: d\n", "line 2:"),
            ("- a\n", "line 1:"),
            ("text", "line 1:"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("{place} expected")), "{text:?}: {error}");
        }
        assert!(read("a: [b").is_err());
        assert_eq!(read("").unwrap(), []);
    }
}
