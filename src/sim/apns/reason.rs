//! Every reason Apple gives for not taking a notification, with its status.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($status:literal { $($reason:ident)* })*) => {
        /// A reason, spelt as the answer has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the names are Apple's, and say what they mean")]
        pub enum Reason { $($($reason,)*)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$reason,)*)*];

            /// The status it comes with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $($(Self::$reason)|* => $status,)* }
            }

            /// As the answer spells it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$reason => stringify!($reason),)*)* }
            }
        }
    };
}

reasons! {
    400 {
        BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadRequestPayload BadTopic DeviceTokenNotForTopic
        DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed
    }
    403 {
        BadCertificate BadCertificateEnvironment BadEnvironmentKeyIdInToken ExpiredProviderToken Forbidden InvalidProviderToken
        MissingProviderToken UnrelatedKeyIdInToken
    }
    404 { BadPath }
    405 { MethodNotAllowed }
    410 { ExpiredToken Unregistered }
    413 { PayloadTooLarge }
    429 { TooManyProviderTokenUpdates TooManyRequests }
    500 { InternalServerError }
    503 { ServiceUnavailable Shutdown }
}
