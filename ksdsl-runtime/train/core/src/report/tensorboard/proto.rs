//! The part of TensorFlow's `event.proto` and `summary.proto` that scalars need.

/// An entry of an event file.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub(super) what: Option<What>,
}

/// What an event says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    /// The version of the format; the first event of a file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// Values at a step.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Value>,
}

/// A number with the name of its curve.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    /// Optional, so that a zero is written, too.
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
}

/// A session begins: what was read of this step and later ones is stale.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

impl SessionLog {
    /// `SessionLog.START`.
    pub(super) fn start() -> Self {
        Self { status: 1 }
    }
}
