//! States and close reasons as the contracts store them, with the words that every tool shows (SP-20).

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! stored {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $words:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(#[doc = $words] $variant = $code,)*
        }

        impl $name {
            /// The contract's number, if it is one of these.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
            /// The contract's number.
            #[must_use]
            pub fn code(self) -> u8 {
                self as u8
            }
            /// What it means, for people.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.words())
            }
        }
    };
}

stored! {
    /// `OrderState` of the contracts.
    OrderState {
        None = 0, "no such order";
        Open = 1, "open for bids";
        Matched = 2, "matched";
        Cancelled = 3, "cancelled by the tenant";
        Void = 4, "void: nobody bid or its seed expired; refunded";
    }
}

stored! {
    /// `LeaseState` of the contracts.
    LeaseState {
        None = 0, "no such lease";
        Pending = 1, "waiting for the provider's confirmation";
        Active = 2, "active";
        Paused = 3, "paused: not billed";
        Closed = 4, "closed";
    }
}

stored! {
    /// `CloseReason` of the contracts.
    CloseReason {
        None = 0, "not closed";
        Expired = 1, "its paid time ran out";
        TenantClosed = 2, "closed by the tenant";
        ProviderClosed = 3, "given up by the provider";
        NotConfirmed = 4, "the provider missed the confirmation";
        ImageUnavailable = 5, "an image cannot be pulled";
        CrashLoop = 6, "the workload keeps failing";
        ManifestMissing = 7, "no manifest was sent in time";
        ProviderLost = 8, "the provider was proven down";
        PolicyViolation = 9, "the manifest breaks the provider's rules";
        WrongMatch = 10, "its match was proven wrong, and the wallet could not pay for the right one";
    }
}
