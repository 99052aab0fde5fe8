//! Types of the values that some [`Settings`](crate::Settings) have.

pub use crate::auth::{Algorithm, RuleError, TopicRule};
pub use crate::bridge::pubsub::{Channel, ChannelError, ChannelTopic, ChannelTopicError};
pub use crate::bridge::redis::{Address as RedisAddress, AddressError as RedisAddressError};
pub use crate::core::glob::{Glob, GlobTooLong};
pub use crate::core::history::{SlowConsumerPolicy, SlowConsumerRule};
pub use crate::core::limits::EventLimits;
pub use crate::logging::{LogFilter, LogFilterError, LogFormat};
pub use crate::secret::Secret;
pub use crate::settings::{IngestUser, KeySource};
pub use crate::web::host::{HostPattern, HostPatternError};
pub use crate::web::origin::{OriginPattern, WebOriginError};
