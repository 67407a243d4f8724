//! Typed identifiers. A name that came from outside is checked once, here, and is then a type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Longest identifier that is accepted, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// An identifier that is empty, too long or holds a character that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an identifier: use 1 to 128 characters of A-Z a-z 0-9 . _ : -")]
pub struct InvalidId(pub String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes an identifier: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                let fine = !text.is_empty()
                    && text.len() <= ID_BYTES_MAX
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'));
                if fine { Ok(Self(Arc::from(text))) } else { Err(InvalidId(text.chars().take(ID_BYTES_MAX).collect())) }
            }

            /// Makes a time-ordered identifier, so that index pages fill from one side.
            pub fn generate(ids: &dyn Ids, now: Timestamp) -> Self {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                Self(Arc::from(&*ids.next(now).hyphenated().encode_lower(&mut text)))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({})", stringify!($name), self.0) }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> { Self::new(text) }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> { Self::new(text) }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String { id.0.to_string() }
        }
    };
}

id!(
    /// One run of a plan. Chosen by the caller (start by id is idempotent) or generated.
    ExecutionId
);
id!(
    /// An organisation whose things nobody else can see.
    TenantId
);
id!(
    /// Who acts: a user, a service, an agent, an operator, or the system itself.
    PrincipalId
);
id!(
    /// A human decision on one effect.
    ApprovalId
);
id!(
    /// A one-time right to perform one effect.
    PermitId
);
id!(
    /// Work that is parked for a human.
    DeadLetterId
);
id!(
    /// What a stop stopped, or a drill measured.
    ReportId
);
id!(
    /// An API token, without its secret.
    TokenId
);

impl ExecutionId {
    /// The identifier that follows from a moment and a seed: time-ordered like any other, and always the same.
    pub fn derived(at: Timestamp, seed: &crate::canonical::Digest) -> Self {
        let mut rest = [0; 10];
        rest.copy_from_slice(&seed.0[..10]);
        let moment = u64::try_from(at.0).unwrap_or(0);
        Self(Arc::from(uuid::Builder::from_unix_timestamp_millis(moment, &rest).into_uuid().to_string()))
    }
}

/// Makes unique, time-ordered identifiers. The one place where randomness enters.
pub trait Ids: Send + Sync {
    /// The next identifier; its leading bits are `now` in milliseconds.
    fn next(&self, now: Timestamp) -> uuid::Uuid;
}
