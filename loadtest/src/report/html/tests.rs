//! Required and forbidden content of the pages.

use plotters::style::RGBColor;

use super::*;
use crate::sample;

const HOSTILE: &str = "<script>alert(1)</script>";

fn page(of: &Outcome) -> String {
    outcome(of).expect("a page")
}

#[test]
fn a_page_is_complete_in_itself() {
    for page in [
        page(&sample::outcome()),
        comparison(&sample::comparison()).expect("a page"),
    ] {
        assert!(
            page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"),
            "{page}"
        );
        for foreign in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        // The name of the SVG format is the only address.
        let addresses = page.matches("http").count();
        let names = page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count();
        assert_eq!(addresses, names + page.matches("http-equiv").count());
    }
}

#[test]
fn hostile_texts_are_shown_and_not_obeyed() {
    let mut outcome = sample::outcome();
    outcome.target = HOSTILE.to_owned();
    outcome.arguments.push(HOSTILE.to_owned());
    outcome.figures[0].label = HOSTILE.to_owned();
    outcome.latencies[0].label = HOSTILE.to_owned();
    outcome.series[0].label = HOSTILE.to_owned();
    outcome.series[0].y.label = HOSTILE.to_owned();
    outcome.reasons[0].text = HOSTILE.to_owned();
    outcome.warnings[0] = format!("\"{HOSTILE}");
    outcome.machine.kernel = HOSTILE.to_owned();
    let page = page(&outcome);
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(
        page.contains("<text") && page.contains("&lt;script&gt;alert(1)"),
        "{page}"
    );

    let page = comparison(&sample::comparison()).expect("a page");
    assert!(!page.contains("<script"));
}

#[test]
fn every_series_and_latency_has_its_line() {
    let outcome = sample::outcome();
    let page = page(&outcome);
    for series in &outcome.series {
        assert!(
            page.contains(&format!("</span> {}</li>", series.label)),
            "{}",
            series.name
        );
    }
    for latency in &outcome.latencies {
        assert!(
            page.contains(&format!("</span> {}</li>", latency.label)),
            "{}",
            latency.name
        );
    }
    assert_eq!(
        page.matches("role=\"img\" aria-label=\"Line plot: ")
            .count(),
        4
    );
}

#[test]
fn the_page_says_what_the_run_was_and_found() {
    let page = page(&sample::outcome());
    for text in [
        "<title>fanout: fantail – load test</title>",
        "20 November 2026, 09:15 UTC",
        "Example Processor 3.0 GHz, 4 cores, 16.0 GiB, Linux 6.1.0",
        "fantail-loadtest fanout --streams 15000 --name &#39;night run&#39;",
        "it may have been the limit",
        "<th scope=\"row\">generator CPU</th><td>1.23 cores</td>",
        "<td>471 ms</td>",
        "<th scope=\"row\">connect: connection refused</th><td>1,204</td>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn good_and_bad_are_told_in_words_too() {
    let page = page(&sample::outcome());
    assert!(
        page.contains("<span aria-hidden=\"true\">✓</span><span class=\"heard\">good:</span> 0")
    );
    assert!(
        page.contains("<span aria-hidden=\"true\">✗</span><span class=\"heard\">bad:</span> 2")
    );
    assert!(
        page.contains("<span aria-hidden=\"true\">!</span><span class=\"heard\">note:</span> 40")
    );
}

#[test]
fn an_outcome_with_nothing_in_it_has_a_page() {
    let page = page(&sample::bare_outcome());
    assert!(page.contains("<h1>fantail</h1>"));
    assert!(!page.contains("<svg") && !page.contains("<table") && !page.contains("Warnings"));
}

#[test]
fn latencies_and_series_without_points_have_a_page() {
    let mut outcome = sample::outcome();
    outcome.latencies[0].quantiles.clear();
    outcome.latencies[1].quantiles = vec![(0.5, 0.0), (1.0, f64::NAN)];
    outcome.series[1].points.clear();
    let page = page(&outcome);
    assert!(page.contains("There is nothing to draw."));
    assert!(page.contains("</span> process (no points)</li>"));
}

#[test]
fn a_comparison_has_its_targets_ratios_and_what_was_left_out() {
    let page = comparison(&sample::comparison()).expect("a page");
    for text in [
        "fanout, medians of 1 to 2 rounds, ratios to fantail",
        "<th scope=\"col\">nchan</th>",
        "403 B (1.73)",
        "Not run: mercure: the program is not installed",
        "fantail: the generator used 1.92 of 2 cores",
        "1.73 ×  ·  403 B",
        "Shorter is better.",
        "Longer is better.",
        "The last round of each target.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.matches("aria-label=\"Bars: ").count() <= BARS_MAX);
}

#[test]
fn a_comparison_of_nothing_has_a_page() {
    let mut nothing = sample::comparison();
    nothing.targets.clear();
    assert!(comparison(&nothing).expect("a page").contains("no targets"));
    let mut unrun = sample::comparison();
    unrun
        .targets
        .iter_mut()
        .for_each(|target| target.rounds.clear());
    assert!(comparison(&unrun).expect("a page").contains("nchan"));
}

#[test]
fn the_style_sheet_knows_every_colour_of_the_plots() {
    let style = include_str!("../../../templates/style.css");
    let hex = |RGBColor(r, g, b): RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    for (number, color) in ink::LINES.into_iter().enumerate() {
        let color = hex(color);
        for property in ["fill", "stroke"] {
            let rule =
                format!("svg [{property}=\"{color}\"] {{ {property}: var(--line-{number}); }}");
            assert!(style.contains(&rule), "{rule}");
        }
        let dash = format!("polyline[stroke=\"{color}\"] {{ stroke-dasharray");
        assert_eq!(style.contains(&dash), number > 0, "{dash}");
    }
    for color in [ink::INK, ink::SOFT] {
        assert!(style.contains(&format!("svg [fill=\"{}\"]", hex(color))));
    }
    for color in [ink::RULE, ink::SOFT] {
        assert!(style.contains(&format!("svg [stroke=\"{}\"]", hex(color))));
    }

    // Every colour must be one that the page maps: another could vanish in the dark scheme.
    let page = page(&sample::outcome());
    for attribute in ["fill=\"#", "stroke=\"#"] {
        for (at, _) in page.match_indices(attribute) {
            let end = at + attribute.len() + 6;
            assert!(style.contains(&page[at..end]), "{}", &page[at..end]);
        }
    }
}
