//! The command line as results show it: without its secrets.

use crate::target::{is_authorization, without_password};

/// Replaces a secret.
const HIDDEN: &str = "(hidden)";

/// The words of a command line with its secrets replaced: that of `--token-secret`, and tokens that
/// the user wrote into a header field or cookie himself.
pub(crate) fn without_secrets(words: Vec<String>) -> Vec<String> {
    let mut flag = None;
    let mut shown = Vec::with_capacity(words.len());
    for word in words {
        let word = match (flag.take(), word.split_once('=')) {
            (Some(flag), _) => hide(flag, &word),
            (None, Some((name, value))) => match secretive(name) {
                Some(flag) => format!("{flag}={}", hide(flag, value)),
                None => word,
            },
            (None, None) => {
                flag = secretive(&word);
                word
            }
        };
        shown.push(without_password(&word));
    }
    shown
}

/// The flag, if its value may be a secret.
fn secretive(word: &str) -> Option<&'static str> {
    let flags = ["--token-secret", "--cookie", "--header", "--publish-header"];
    flags.into_iter().find(|flag| *flag == word)
}

fn hide(flag: &str, value: &str) -> String {
    let placeholder = value.contains("{token}");
    match (flag, value.split_once([':', '='])) {
        ("--token-secret", _) => HIDDEN.to_owned(),
        _ if placeholder => value.to_owned(),
        ("--cookie", Some((name, _))) => format!("{name}={HIDDEN}"),
        ("--header" | "--publish-header", Some((name, _)))
            if is_authorization(name) || name.trim().eq_ignore_ascii_case("cookie") =>
        {
            format!("{name}: {HIDDEN}")
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_everything_else_is_shown() {
        let words = [
            "fanout --streams 10 --url=http://h/?a=b",
            "--token-secret hush --token-secret=hush",
            "--cookie sid=hush --cookie=sid={token}",
            "--header=Authorization:hush --publish-header=cookie:hush --header X-User:u",
            "--publish redis://app:hush@h/0 --publish=resp://:hush@h",
        ];
        let words = words.iter().flat_map(|line| line.split(' '));
        let shown = without_secrets(words.map(str::to_owned).collect());
        assert_eq!(
            shown.join(" "),
            "fanout --streams 10 --url=http://h/?a=b \
             --token-secret (hidden) --token-secret=(hidden) \
             --cookie sid=(hidden) --cookie=sid={token} \
             --header=Authorization: (hidden) --publish-header=cookie: (hidden) --header X-User:u \
             --publish redis://(hidden)@h/0 --publish=resp://(hidden)@h"
        );
    }
}
