//! The format of `/metrics` that a client prefers, by its `Accept` (RFC 9110 §12.5.1).
//!
//! Never refuses: a client that accepts neither gets the classic one, as from other metrics
//! servers.

use hyper::header::{self, HeaderMap};

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus's own, version 0.0.4; the default.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Classic => ("text", "plain"),
            Self::OpenMetrics => ("application", "openmetrics-text"),
        }
    }

    /// Version parameters of the format. OpenMetrics was called 0.0.1 while it was a draft, and the
    /// text is the same.
    const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &["0.0.4"],
            Self::OpenMetrics => &["1.0.0", "0.0.1"],
        }
    }

    /// The quality of the format in a request, in thousandths, by the most specific of the ranges
    /// that cover it; and how specific that range is.
    fn wanted(self, ranges: &[Range<'_>]) -> (u16, u8) {
        let covering = ranges
            .iter()
            .filter_map(|range| Some((range.covers(self)?, range.quality)));
        // Of equally specific ranges (versions of one type) the best counts.
        let (specific, quality) = covering.max().unwrap_or((0, 0));
        (quality, specific)
    }
}

/// The format for a request with these headers.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let fields = headers.get_all(header::ACCEPT).iter();
    let ranges: Vec<Range<'_>> = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .filter_map(Range::parse)
        .collect();
    // At equal quality (`*/*`), the classic one.
    let open = Format::OpenMetrics.wanted(&ranges);
    if open > Format::Classic.wanted(&ranges) && open.0 > 0 {
        Format::OpenMetrics
    } else {
        Format::Classic
    }
}

/// One media range of the field.
struct Range<'r> {
    kind: &'r str,
    subtype: &'r str,
    version: Option<&'r str>,
    /// In thousandths.
    quality: u16,
}

impl<'r> Range<'r> {
    /// Parses a range; `None` if it is malformed.
    fn parse(text: &'r str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self {
            kind,
            subtype,
            version: None,
            quality: 1_000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            if name.trim().eq_ignore_ascii_case("q") {
                range.quality = quality(value.trim())?;
            } else if name.trim().eq_ignore_ascii_case("version") {
                range.version = Some(value.trim().trim_matches('"'));
            }
        }
        Some(range)
    }

    /// The specificity of a range that covers `format`: a higher number is more specific.
    fn covers(&self, format: Format) -> Option<u8> {
        let (kind, subtype) = format.name();
        match (self.kind, self.subtype) {
            ("*", "*") => Some(1),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(2),
            (own, name) if own.eq_ignore_ascii_case(kind) && name.eq_ignore_ascii_case(subtype) => {
                match self.version {
                    None => Some(3),
                    Some(version) => format.versions().contains(&version).then_some(4),
                }
            }
            _ => None,
        }
    }
}

/// A weight (RFC 9110 §12.4.2) in thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !digits {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1_000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(accept: &[&'static str]) -> Format {
        let mut headers = HeaderMap::new();
        for field in accept {
            headers.append(header::ACCEPT, HeaderValue::from_static(field));
        }
        format(&headers)
    }

    #[test]
    fn who_does_not_ask_for_openmetrics_gets_the_classic_format() {
        for accept in [
            "*/*",
            "text/plain",
            "text/*",
            "TEXT/plain; version=0.0.4; charset=utf-8",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            // Prometheus before it supported OpenMetrics.
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            "application/openmetrics-text;q=0, */*",
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            "application/openmetrics-text;q=0.1, */*;q=0.2, text/plain;q=0.3",
            "application/openmetrics-text; version=2.0.0",
            "application/json",
            "application/openmetrics-text;q=2",
            "",
            ",;/=q",
        ] {
            assert_eq!(of(&[accept]), Format::Classic, "{accept}");
        }
        assert_eq!(of(&[]), Format::Classic);
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8",
            "application/openmetrics-text; version=\"1.0.0\"",
            "application/*",
            "application/openmetrics-text, */*",
            "text/plain;q=0.5, application/openmetrics-text;q=0.501",
            // Prometheus 2.5, 2.40 and 3.
            "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert_eq!(of(&[accept]), Format::OpenMetrics, "{accept}");
        }
        let fields = ["text/plain;q=0.3", "application/openmetrics-text"];
        assert_eq!(of(&fields), Format::OpenMetrics);
    }
}
