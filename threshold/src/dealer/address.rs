//! Execution-layer addresses as people type them.

use alloy_primitives::Address;
use eth_types::ExecutionAddress;

/// Why a text is no address to send money to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `0x` and 40 hex digits.
    #[error("{text:?} is not an address, expected 0x and 40 hex digits")]
    Shape {
        /// As typed.
        text: String,
    },
    /// Upper and lower case that are not the checksum's: a digit is mistyped.
    #[error(
        "the upper and lower case of {text} are not those of its checksum (EIP-55): a digit is wrong, \
         copy the address again"
    )]
    Checksum {
        /// As typed.
        text: String,
    },
}

/// Reads an address: with its EIP-55 checksum, which is checked, or all in lower case, which has none.
///
/// # Errors
/// See [`AddressError`].
pub fn parse_address(text: &str) -> Result<ExecutionAddress, AddressError> {
    let shape_error = || AddressError::Shape { text: text.to_owned() };
    if !text.starts_with("0x") {
        return Err(shape_error());
    }
    let address: ExecutionAddress = text.parse().map_err(|_| shape_error())?;
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(address);
    }
    if text == Address::from(*address.as_bytes()).to_checksum(None) {
        Ok(address)
    } else {
        Err(AddressError::Checksum { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_the_standard_are_read_in_both_forms() {
        // EIP-55's test cases.
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let address = parse_address(text).unwrap();
            assert_eq!(parse_address(&text.to_lowercase()), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_mistyped_is_refused() {
        let refused = |text: &str| parse_address(text).unwrap_err().to_string();
        assert_eq!(
            refused("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee"),
            "the upper and lower case of 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee are not those of its \
             checksum (EIP-55): a digit is wrong, copy the address again"
        );
        for text in ["", "0x", "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "0xzz", "0x5aaeb6"] {
            assert!(matches!(parse_address(text), Err(AddressError::Shape { .. })), "{text}");
        }
    }
}
