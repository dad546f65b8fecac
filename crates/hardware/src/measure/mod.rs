//! What a machine does, as opposed to what it has: measured for a second or two, and only when asked.

mod compute;
mod write;

pub use compute::compute_score;
pub use write::write_speed;
