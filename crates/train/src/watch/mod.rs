//! How a run goes, for whoever watches it: events while it trains, metrics in its folder, and the report.

mod metrics;
mod observer;
mod recorder;
pub mod report;

pub use metrics::{Metrics, MetricsLog, Row, figure, number, read_events, read_rows};
pub use observer::{Epoch, Event, Interval, Observer};
pub use recorder::Recorder;
