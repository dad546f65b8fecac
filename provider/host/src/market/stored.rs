//! How numbers beyond 64 bits are written to the store: rates as decimal text, packed words as the chain's own words.

/// A rate as decimal text.
pub mod rate {
    use iono_primitives::Rate;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(rate: &Rate, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&rate.0)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no decimal number of 128 bits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        String::deserialize(deserializer)?.parse().map(Rate).map_err(D::Error::custom)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $module:ident, $words:ty) => {
        $(#[$doc])*
        pub mod $module {
            use alloy::primitives::U256;
            use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

            /// Writes them.
            ///
            /// # Errors
            /// The serializer's.
            pub fn serialize<S: Serializer>(words: &$words, serializer: S) -> Result<S::Ok, S::Error> {
                words.words().serialize(serializer)
            }

            /// Reads them.
            ///
            /// # Errors
            /// When they are no two words of 256 bits.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$words, D::Error> {
                <[U256; 2]>::deserialize(deserializer).map(<$words>::read)
            }
        }
    };
}

words!(
    /// An order's words.
    order_words, iono_bindings::OrderWords
);
words!(
    /// A lease's words.
    lease_words, iono_bindings::LeaseWords
);
