//! Light nodes whose records have to be read again.

use std::collections::BTreeSet;

use iono_primitives::FizzId;

/// See the file's first lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Unread {
    /// Nothing is known of any, as at the start; or of which ones, as after a re-org.
    #[default]
    All,
    /// Those that events named.
    These(BTreeSet<FizzId>),
}

impl Unread {
    /// None.
    pub const NONE: Self = Self::These(BTreeSet::new());

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::These(ids), Self::These(others)) => ids.extend(others),
            _ => *self = Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_takes_in_every_other() {
        let these = |ids: &[u32]| Unread::These(ids.iter().copied().map(FizzId).collect());
        let mut unread = Unread::default();
        unread.add(these(&[7]));
        assert_eq!(unread, Unread::All);
        let mut unread = Unread::NONE;
        unread.add(these(&[2, 1]));
        unread.add(these(&[2]));
        assert_eq!(unread, these(&[1, 2]));
        unread.add(Unread::All);
        assert_eq!(unread, Unread::All);
    }
}
