//! Horizontal bars: one metric of all targets, as ratios to the baseline.

use plotters::backend::SVGBackend;
use plotters::element::{PathElement, Rectangle};
use plotters::prelude::IntoDrawingArea;
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ink::{self, INK, SOFT};
use super::plot::{DrawError, Drawn, capital};
use crate::outcome::Unit;
use crate::report::ReportError;
use crate::report::matrix::Row;
use crate::units;

const WIDTH_UNITS: i32 = 840;
/// One bar with its text above.
const ROW_UNITS: i32 = 84;
/// Of that, the text.
const TEXT_UNITS: i32 = 34;
const BAR_UNITS: i32 = 24;
/// Shown part of a name that is a whole URL: enough to distinguish targets, and the value keeps its
/// room.
const NAME_CHARS_MAX: usize = 34;

/// Whether the metric can be compared as "so many times the baseline". Counts cannot: they should
/// be the requested ones.
pub(super) fn is_fit(row: &Row) -> bool {
    direction(row.unit).is_some() && row.cells.iter().any(|cell| cell.ratio.is_some())
}

/// Draws the row; a target without the metric has a note in place of a bar.
pub(super) fn draw(targets: &[&str], row: &Row) -> Result<Drawn, ReportError> {
    let ratios: Vec<Option<f64>> = row
        .cells
        .iter()
        // If any target has a ratio, only the baseline has a value without one.
        .map(|cell| cell.value.map(|_| cell.ratio.unwrap_or(1.0)))
        .collect();
    let texts: Vec<String> = row
        .cells
        .iter()
        .zip(&ratios)
        .map(|(cell, ratio)| match cell.value.zip(*ratio) {
            Some((value, ratio)) => {
                format!(
                    "{}  ·  {}",
                    units::ratio(ratio),
                    units::show(value, row.unit)
                )
            }
            None => units::NOTHING.to_owned(),
        })
        .collect();
    let svg = svg(targets, &ratios, &texts).map_err(|source| ReportError::Plot {
        plot: row.label.clone(),
        source: source.into(),
    })?;
    let told = targets.iter().zip(&texts);
    let told: Vec<String> = told.map(|(name, text)| format!("{name}: {text}")).collect();
    Ok(Drawn {
        title: capital(&row.label),
        caption: direction(row.unit).unwrap_or_default().to_owned(),
        description: format!("Bars: {}. {}.", row.label, told.join("; ")),
        svg: Some(svg),
        legend: Vec::new(),
    })
}

fn direction(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Seconds | Unit::Bytes | Unit::Cores => Some("Shorter is better."),
        Unit::PerSecond => Some("Longer is better."),
        Unit::Count | Unit::Share => None,
    }
}

fn svg(targets: &[&str], ratios: &[Option<f64>], texts: &[String]) -> Result<String, DrawError> {
    let most = ratios
        .iter()
        .flatten()
        .fold(1.0, |most: f64, ratio| most.max(*ratio));
    let place = |ratio: f64| (ratio / most * f64::from(WIDTH_UNITS)).round() as i32;
    let mut svg = String::new();
    {
        let height = ROW_UNITS * targets.len() as i32;
        let size = (WIDTH_UNITS as u32, height as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let right = ink::text(&INK).pos(Pos::new(HPos::Right, VPos::Top));
        for (number, name) in targets.iter().enumerate() {
            let top = ROW_UNITS * number as i32;
            let bar_top = top + TEXT_UNITS;
            root.draw_text(&short(name), &ink::text(&INK), (0, top))?;
            root.draw_text(&texts[number], &right, (WIDTH_UNITS, top))?;
            if let Some(ratio) = ratios[number] {
                let end = place(ratio).max(1);
                let corners = [(0, bar_top), (end, bar_top + BAR_UNITS)];
                root.draw(&Rectangle::new(corners, ink::fill(number)))?;
            }
            let baseline = place(1.0).min(WIDTH_UNITS - 2);
            let mark = vec![(baseline, bar_top - 4), (baseline, bar_top + BAR_UNITS + 4)];
            root.draw(&PathElement::new(mark, SOFT.stroke_width(3)))?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn short(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::matrix::Cell;

    #[test]
    fn a_bar_says_its_ratio_and_its_value() {
        let cell = |value, ratio| Cell { value, ratio };
        let row = Row {
            name: "memory".to_owned(),
            label: "memory".to_owned(),
            unit: Unit::Bytes,
            cells: vec![
                cell(Some(200.0), None),
                cell(Some(300.0), Some(1.5)),
                cell(None, None),
            ],
        };
        assert!(is_fit(&row));
        let long = "http://example.org/a/very/long/path/to/streams/{n}";
        let drawn = draw(&["fantail", long, "<x>"], &row).expect("bars");
        let svg = drawn.svg.expect("a drawing");
        assert!(svg.contains("1.50 ×  ·  300 B"), "{svg}");
        assert!(svg.contains("http://example.org/a/very/long/pat…"));
        assert!(svg.contains("&lt;x&gt;"));
        assert!(drawn.description.contains("<x>: –"));
    }
}
