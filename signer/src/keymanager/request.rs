//! The requests, parsed. Passwords go into memory that is erased, and no error quotes what was sent.
//!
//! The copies that the HTTP and JSON libraries make on the way are theirs: a request's bytes pass
//! through the connection's read buffer, which is not erased.

use std::fmt;

use eth_types::PublicKey;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::KeyManagerError;

/// `POST /eth/v1/keystores`.
pub struct ImportKeystores {
    /// The keystores with their passwords, in the order of the request.
    pub keystores: Vec<SubmittedKeystore>,
    /// The text of an EIP-3076 interchange file.
    pub slashing_protection: Option<String>,
}

/// A keystore as it was sent; it may be none.
pub struct SubmittedKeystore {
    /// The JSON text.
    pub text: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// A public key as it was sent: in hex of any case, with or without `0x`; or why it is none.
pub type SubmittedKey = Result<PublicKey, String>;

impl fmt::Debug for ImportKeystores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportKeystores")
            .field("keystores", &self.keystores.len())
            .field("slashing_protection", &self.slashing_protection.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SubmittedKeystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubmittedKeystore(..)")
    }
}

/// Reads the body of `POST /eth/v1/keystores`.
pub(super) fn import_keystores(body: &[u8]) -> Result<ImportKeystores, KeyManagerError> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        keystores: Option<&'a RawValue>,
        #[serde(borrow, default)]
        passwords: Option<&'a RawValue>,
        #[serde(borrow, default)]
        slashing_protection: Option<&'a RawValue>,
    }
    let fields: Fields<'_> = object(body)?;
    let keystores: Vec<String> = field("keystores", "a list of strings", fields.keystores)?;
    let raw: Vec<&RawValue> = field("passwords", "a list of strings", fields.passwords)?;
    if keystores.len() != raw.len() {
        return Err(KeyManagerError::Malformed(format!(
            "{} keystores, but {} passwords: each keystore needs its own",
            keystores.len(),
            raw.len()
        )));
    }
    let keystores = keystores
        .into_iter()
        .zip(raw)
        .map(|(text, raw)| {
            let password =
                secret_string(raw).ok_or_else(|| unexpected("passwords", "a list of strings"))?;
            Ok(SubmittedKeystore { text, password })
        })
        .collect::<Result<_, KeyManagerError>>()?;
    let slashing_protection = match fields.slashing_protection {
        None => None,
        raw => Some(field("slashing_protection", "a string that holds JSON", raw)?),
    };
    Ok(ImportKeystores { keystores, slashing_protection })
}

/// Reads the body of both deletions: `{"pubkeys": [..]}`.
pub(super) fn delete_keys(body: &[u8]) -> Result<Vec<SubmittedKey>, KeyManagerError> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        pubkeys: Option<&'a RawValue>,
    }
    let fields: Fields<'_> = object(body)?;
    let keys: Vec<String> = field("pubkeys", "a list of strings", fields.pubkeys)?;
    Ok(keys.iter().map(|text| public_key(text)).collect())
}

/// Reads the keys of `POST /eth/v1/remotekeys`.
pub(super) fn import_remote_keys(body: &[u8]) -> Result<Vec<SubmittedKey>, KeyManagerError> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        remote_keys: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct RemoteKey {
        pubkey: String,
    }
    let fields: Fields<'_> = object(body)?;
    let expected = "a list of objects with a pubkey";
    let keys: Vec<RemoteKey> = field("remote_keys", expected, fields.remote_keys)?;
    Ok(keys.iter().map(|key| public_key(&key.pubkey)).collect())
}

fn public_key(text: &str) -> SubmittedKey {
    text.parse().map_err(|_| "not a public key: expected 48 bytes of hex".to_owned())
}

/// Reads a JSON object. A derived reader takes an array too, fields by position, which nobody means.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, KeyManagerError> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(KeyManagerError::Malformed("the body is not a JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        KeyManagerError::Malformed(format!(
            "the body is not the JSON object that is expected: it goes wrong at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

fn field<'a, T: Deserialize<'a>>(
    name: &str,
    expected: &str,
    raw: Option<&'a RawValue>,
) -> Result<T, KeyManagerError> {
    let raw = raw.ok_or_else(|| KeyManagerError::Malformed(format!("`{name}` is missing")))?;
    serde_json::from_str(raw.get()).map_err(|_| unexpected(name, expected))
}

fn unexpected(name: &str, expected: &str) -> KeyManagerError {
    KeyManagerError::Malformed(format!("`{name}` is not {expected}"))
}

/// The value of a JSON string. The library would unescape it in memory that it does not erase.
fn secret_string(raw: &RawValue) -> Option<Zeroizing<String>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    // An escape is longer than what it stands for, so this never grows.
    let mut value = Zeroizing::new(String::with_capacity(inner.len()));
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        value.push(match chars.next()? {
            c @ ('"' | '\\' | '/') => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unicode_escape(&mut chars)?,
            _ => return None,
        });
    }
    Some(value)
}

/// What follows `\u`: one UTF-16 unit, or a pair of surrogates with another `\u` between them.
fn unicode_escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let mut unit = || -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)?))
    };
    let first = unit()?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    if (chars.next()?, chars.next()?) != ('\\', 'u') {
        return None;
    }
    let mut unit = || -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)?))
    };
    let second = unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "0x989d34725a2bfc3f15105f3f5fc8741f436c25ee1ee4f948e425d6bcb8c56bce6e06c269635b7e985a7ffa639e2409bf";

    fn password(json_string: &str) -> Option<String> {
        let body = format!(r#"{{"keystores":["{{}}"],"passwords":[{json_string}]}}"#);
        let mut request = import_keystores(body.as_bytes()).ok()?;
        Some(request.keystores.remove(0).password.to_string())
    }

    #[test]
    fn passwords_mean_what_json_says_they_mean() {
        for text in ["", "plain", "q\"uo\\te/", "line\nend\ttab\u{8}\u{c}\r", "𝔱ö🔑\u{7f}", "\u{0}"]
        {
            let written = serde_json::to_string(text).unwrap();
            assert_eq!(password(&written).as_deref(), Some(text));
        }
        assert_eq!(password(r#""\u00f6\ud83d\udd11\/""#).as_deref(), Some("ö🔑/"));
        for bad in [r#""\ud83d""#, r#""\ud83dx""#, r#""\udd11""#, r#""\ud83d\u0041""#, "7", "null"]
        {
            assert_eq!(password(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_is_read_with_and_without_slashing_data_and_unknown_fields() {
        let body = json!({
            "keystores": ["{\"a\": 1}"], "passwords": ["x"], "slashing_protection": "{}", "more": [1],
        });
        let request = import_keystores(body.to_string().as_bytes()).unwrap();
        assert_eq!(request.keystores[0].text, "{\"a\": 1}");
        assert_eq!(request.slashing_protection.as_deref(), Some("{}"));
        for without in [
            r#"{"keystores":[],"passwords":[]}"#,
            r#" {"passwords":[],"slashing_protection":null,"keystores":[]}"#,
        ] {
            let request = import_keystores(without.as_bytes()).unwrap();
            assert!(request.keystores.is_empty() && request.slashing_protection.is_none());
        }
    }

    #[test]
    fn refusals_name_the_field_and_quote_nothing() {
        let refused = |body: &str| import_keystores(body.as_bytes()).unwrap_err().to_string();
        let secret = "hunter2hunter2";
        for (body, expected) in [
            ("", "the body is not a JSON object"),
            (r#"[["{}"],["hunter2hunter2"]]"#, "the body is not a JSON object"),
            (r#""hunter2hunter2""#, "the body is not a JSON object"),
            (r#"{"passwords":["hunter2hunter2"]}"#, "`keystores` is missing"),
            (r#"{"keystores":null,"passwords":[]}"#, "`keystores` is missing"),
            (r#"{"keystores":[]}"#, "`passwords` is missing"),
            (
                r#"{"keystores":[],"passwords":"hunter2hunter2"}"#,
                "`passwords` is not a list of strings",
            ),
            (
                r#"{"keystores":[],"passwords":["hunter2hunter2"]}"#,
                "0 keystores, but 1 passwords: each keystore needs its own",
            ),
            (
                r#"{"keystores":[{"password":"hunter2hunter2"}],"passwords":[""]}"#,
                "`keystores` is not a list of strings",
            ),
            (
                r#"{"keystores":[],"passwords":[],"slashing_protection":{"p":"hunter2hunter2"}}"#,
                "`slashing_protection` is not a string that holds JSON",
            ),
            (
                r#"{"keystores":[],"passwords":["hunter2hunter2"#,
                "the body is not the JSON object that is expected: it goes wrong at line 1, column 44",
            ),
        ] {
            let text = refused(body);
            assert_eq!(text, expected);
            assert!(!text.contains(secret));
        }
        let request = r#"{"keystores":["{}"],"passwords":["hunter2hunter2"]}"#;
        let request = import_keystores(request.as_bytes()).unwrap();
        assert!(!format!("{request:?}{:?}", request.keystores).contains(secret));
    }

    #[test]
    fn keys_are_read_in_every_spelling_and_bad_ones_are_items_of_their_own() {
        let bare = KEY.trim_start_matches("0x");
        let keys = json!([KEY, bare, bare.to_uppercase(), KEY.to_uppercase(), "0x12", ""]);
        let body = json!({ "pubkeys": keys }).to_string();
        let keys = delete_keys(body.as_bytes()).unwrap();
        let expected: PublicKey = KEY.parse().unwrap();
        assert!(keys[..4].iter().all(|key| *key == Ok(expected)), "{keys:?}");
        assert!(keys[4..].iter().all(Result::is_err));
        let remote = json!({ "remote_keys": [{ "pubkey": KEY, "url": "http://x" }] }).to_string();
        assert_eq!(import_remote_keys(remote.as_bytes()).unwrap(), [Ok(expected)]);
        assert!(delete_keys(b"{}").is_err() && import_remote_keys(b"{}").is_err());
        assert!(import_remote_keys(br#"{"remote_keys":["x"]}"#).is_err());
    }
}
