//! The `Debug` form of settings.

use std::fmt;

use super::checked::Settings;
use super::table;

impl fmt::Debug for Settings {
    /// Every setting by its key, written as in the file; of secrets only whether they are set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = self.clone();
        let mut out = f.debug_struct("Settings");
        for setting in table::all() {
            let value = setting.kind.show(&mut copy);
            out.field(setting.key, &format_args!("{value}"));
        }
        out.finish()
    }
}
