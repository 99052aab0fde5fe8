//! Bounds of a guard.

/// Bounds that apply to a trailer section but to no head.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of one.
    pub trailer_bytes_max: usize,
    /// Most fields of one.
    pub trailer_count_max: usize,
}
