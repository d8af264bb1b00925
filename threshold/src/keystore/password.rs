//! The password of a keystore, in the form that EIP-2335 feeds to the key derivation function.

use std::fmt;

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Random bytes of a generated password; their 128 bits need no stretching, and 32 hex digits are
/// the form in which other tools of the field write them.
const GENERATED_BYTES: usize = 16;

/// Longest password accepted, in bytes of its normalised form. PBKDF2 and scrypt hash a long
/// password once, so this only keeps a wrong file from being read as one.
pub const MAX_PASSWORD_BYTES: usize = 4 * 1024;

/// A keystore password: normalised (NFKD), control codes removed, UTF-8 (EIP-2335, "Password
/// requirements"). Erased from memory when dropped.
pub struct Password(Zeroizing<String>);

/// Why a text or a file's content is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The bytes are not UTF-8.
    #[error("a password has to be UTF-8 text")]
    NotText,
    /// Nothing is left after control codes, such as a line's end, are removed.
    #[error("the password is empty")]
    Empty,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error(
        "a password of {found} bytes is longer than the {MAX_PASSWORD_BYTES} that are accepted"
    )]
    TooLong {
        /// Bytes found.
        found: usize,
    },
}

impl Password {
    /// Normalises `text`. A trailing line end, as editors add one to password files, is a control
    /// code and goes with the others; spaces stay.
    ///
    /// # Errors
    /// The text is empty once normalised, or too long.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong { found: text.len() });
        }
        // NFKD makes a code point at most 18 code points long. Reserved at once, so that no
        // half-built copy of the password is left behind by a growing string.
        let mut normalised = Zeroizing::new(String::with_capacity(text.len() * 18 + 4));
        normalised.extend(text.nfkd().filter(|c| !is_control_code(*c)));
        match normalised.len() {
            0 => Err(PasswordError::Empty),
            found if found > MAX_PASSWORD_BYTES => Err(PasswordError::TooLong { found }),
            _ => Ok(Self(normalised)),
        }
    }

    /// Reads a password from a file's content.
    ///
    /// # Errors
    /// As [`Password::new`], or the content is not UTF-8.
    pub fn from_file_content(content: &[u8]) -> Result<Self, PasswordError> {
        Self::new(std::str::from_utf8(content).map_err(|_| PasswordError::NotText)?)
    }

    /// A fresh random password of 32 hex digits, from the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, SysError> {
        let mut bytes = Zeroizing::new([0; GENERATED_BYTES]);
        SysRng.try_fill_bytes(bytes.as_mut_slice())?;
        Ok(Self(Zeroizing::new(hex::encode(bytes.as_slice()))))
    }

    /// The normalised text, to be written to a password file or given to a key manager.
    ///
    /// # Security
    /// Do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// The C0, C1 and Delete control codes that EIP-2335 strips.
fn is_control_code(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_the_standard_is_normalised_to_its_bytes() {
        let password = Password::new("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑").unwrap();
        assert_eq!(hex::encode(password.expose()), "7465737470617373776f7264f09f9491");
    }

    #[test]
    fn control_codes_go_and_spaces_stay() {
        let password = Password::from_file_content(" a\u{0}b\u{7f}\u{80}\u{9f} c \r\n".as_bytes());
        assert_eq!(password.unwrap().expose(), " ab c ");
    }

    #[test]
    fn what_is_no_password_is_refused() {
        let refused =
            |content: &[u8]| Password::from_file_content(content).unwrap_err().to_string();
        assert_eq!(refused(b"\n"), "the password is empty");
        assert_eq!(refused(&[0xff]), "a password has to be UTF-8 text");
        assert_eq!(
            refused(&[b'a'; MAX_PASSWORD_BYTES + 1]),
            "a password of 4097 bytes is longer than the 4096 that are accepted"
        );
        // Short as it stands, too long once normalised.
        assert_eq!(
            refused("\u{fdfa}".repeat(200).as_bytes()),
            "a password of 6600 bytes is longer than the 4096 that are accepted"
        );
    }

    #[test]
    fn generated_passwords_are_hex_and_differ() {
        let (one, two) = (Password::generate().unwrap(), Password::generate().unwrap());
        assert_eq!(one.expose().len(), 32);
        assert!(one.expose().bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn debug_output_hides_the_password() {
        assert_eq!(format!("{:?}", Password::new("hunter2").unwrap()), "Password(redacted)");
    }
}
