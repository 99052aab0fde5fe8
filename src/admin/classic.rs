//! The classic text format of Prometheus (version 0.0.4), converted from a page in OpenMetrics
//! text.
//!
//! The formats differ little. In the classic one, the suffix of a counter or an info is part of its
//! name, so also in `HELP` and `TYPE`; it has no type `info`, no `UNIT` and no `EOF`. Converting
//! keeps both pages equal, which two encoders would not.

/// Media type of this format ("Exposition formats", Prometheus documentation).
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page in the classic format.
pub(super) fn from_openmetrics(page: &str) -> String {
    let mut classic = String::with_capacity(page.len());
    // The name with its suffix depends on the type, which comes a line after the help.
    let mut help = "";
    for line in page.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), Some(text)) => help = text,
            (Some("#"), Some("TYPE"), Some(family), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    kind => ("", kind),
                };
                for text in [
                    "# HELP ",
                    family,
                    suffix,
                    " ",
                    help,
                    "\n# TYPE ",
                    family,
                    suffix,
                    " ",
                    kind,
                    "\n",
                ] {
                    classic.push_str(text);
                }
            }
            (Some("#"), ..) => {}
            _ => {
                classic.push_str(line);
                classic.push('\n');
            }
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_part_of_the_name_and_the_rest_is_left_out() {
        let page = "# HELP a_bytes What a is.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{k=\"# HELP v\"} 1\n\
                    # HELP b Version.\n# TYPE b info\nb_info{v=\"1\"} 1\n# HELP c C.\n# TYPE c gauge\nc 1.0\n# EOF\n";
        let classic = "# HELP a_bytes_total What a is.\n# TYPE a_bytes_total counter\na_bytes_total{k=\"# HELP v\"} 1\n\
                       # HELP b_info Version.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n# HELP c C.\n# TYPE c gauge\nc 1.0\n";
        assert_eq!(from_openmetrics(page), classic);
    }
}
