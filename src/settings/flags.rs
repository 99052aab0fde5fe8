//! The flags: `--` and the setting's key with dashes. A list is given in one flag or with one flag
//! per value.

use clap::{Arg, ArgAction, ArgMatches};

use super::checked::Settings;
use super::given::Given;
use super::origin::Origin;
use super::raw::RawSettings;
use super::table::{self, GROUPS, Setting};

/// A flag for every setting, in the order of the table and under the headings of its groups.
pub fn args() -> Vec<Arg> {
    let mut defaults = Settings::default();
    GROUPS
        .iter()
        .flat_map(|group| group.settings.iter().map(move |setting| (group, setting)))
        .map(|(group, setting)| arg(setting, &mut defaults).help_heading(group.title))
        .collect()
}

fn arg(setting: &'static Setting, defaults: &mut Settings) -> Arg {
    let default = setting.kind.show(defaults);
    let long_help = format!(
        "{}\n[allowed: {}] [default: {default}] [env: {}]",
        setting.help,
        setting.kind.allowed(),
        setting.variable()
    );
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.kind.placeholder())
        .help(format!("{} [default: {default}]", setting.help))
        .long_help(long_help)
        // So that `-1` is refused as a value, with the allowed range, and not as an unknown flag.
        .allow_negative_numbers(true);
    if setting.kind.separator().is_some() {
        arg.action(ArgAction::Append).visible_alias(setting.one())
    } else if setting.kind.is_switch() {
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        arg
    }
}

/// The settings among the given flags.
pub fn read(matches: &ArgMatches) -> RawSettings {
    let mut raw = RawSettings::default();
    for setting in table::all() {
        let Some(texts) = matches.get_many::<String>(setting.key) else {
            continue;
        };
        let origin = Origin::Flag(format!("--{}", setting.flag()));
        let mut many = Vec::new();
        for text in texts {
            match Given::from_text(setting.kind.separator(), text) {
                Given::Many(values) => many.extend(values),
                one => raw.push(setting, one, origin.clone()),
            }
        }
        if setting.kind.separator().is_some() {
            raw.push(setting, Given::Many(many), origin);
        }
    }
    raw
}
