//! The lines in front of an event that name its topics.
//!
//! A topic may be any text. Its line must be one line for every reader, and no topic may look like
//! another.

use super::frame::Frame;

/// The lines that name topics, in a chunk of their own. The frame of an event follows; all together
/// are one block.
///
/// A name that begins with a quotation mark, or that has a character which some reader takes for
/// the end of a line, is written as a string of JSON.
#[must_use]
pub fn topic_lines<'a>(names: impl IntoIterator<Item = &'a str>) -> Frame {
    let mut text = String::new();
    for name in names {
        text.push_str("topic: ");
        if name.starts_with('"') || name.chars().any(is_unsafe) {
            put_quoted(&mut text, name);
        } else {
            text.push_str(name);
        }
        text.push('\n');
    }
    Frame::wrap(text.as_bytes())
}

/// Control characters, line breaks among them, and the separators of lines and paragraphs, at which
/// some readers end a line, too.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Appends a string of JSON (RFC 8259 §7).
fn put_quoted(text: &mut String, name: &str) {
    text.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if is_unsafe(c) => {
                // All of them are in the basic plane: four digits.
                let digits = [12, 8, 4, 0].map(|shift| (c as u32 >> shift) & 0xf);
                let digits = digits.map(|digit| char::from_digit(digit, 16).unwrap_or('0'));
                text.push_str("\\u");
                text.extend(digits);
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(name: &str) -> String {
        String::from_utf8(topic_lines([name]).text().to_vec()).expect("UTF-8")
    }

    /// The name, as a client reads it.
    fn read(line: &str) -> String {
        let value = line.strip_prefix("topic: ").expect("the field");
        let value = value.strip_suffix('\n').expect("the end of the line");
        if value.starts_with('"') {
            serde_json::from_str(value).expect("a string of JSON")
        } else {
            value.to_owned()
        }
    }

    #[test]
    fn a_name_is_written_as_it_is_unless_it_could_break_the_line() {
        for (name, value) in [
            ("orders/7", "orders/7"),
            (" a: {b}%0A ", " a: {b}%0A "),
            ("zoë\u{feff}", "zoë\u{feff}"),
            ("\"", r#""\"""#),
            ("a\"b\\", "a\"b\\"),
            (
                "a\nid: 7\n\ndata: forged",
                r#""a\u000aid: 7\u000a\u000adata: forged""#,
            ),
            ("a\rb\0\\\"", r#""a\u000db\u0000\\\"""#),
            ("a\u{85}\u{2028}\u{2029}", r#""a\u0085\u2028\u2029""#),
        ] {
            assert_eq!(line(name), format!("topic: {value}\n"));
            assert_eq!(read(&line(name)), name);
        }
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_and_no_topic_looks_like_another(name in any::<String>()) {
            let line = line(&name);
            prop_assert_eq!(line.chars().filter(|c| is_unsafe(*c)).count(), 1);
            prop_assert_eq!(read(&line), name);
        }
    }
}
