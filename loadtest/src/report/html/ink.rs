//! Colours, dashes and markers of plots.
//!
//! The drawing library writes each colour as an attribute. `style.css` maps exactly these
//! attributes to colours of the reader's scheme, and the dash of a line with its colour. A change
//! here must be made there as well; a test compares them.

use plotters::backend::SVGBackend;
use plotters::element::{Circle, Cross, DynElement, IntoDynElement, PathElement, TriangleMarker};
use plotters::prelude::IntoDrawingArea;
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::plot::DrawError;

/// Text that is read first, such as names of bars.
pub(super) const INK: RGBColor = RGBColor(0x1C, 0x1D, 0x1F);
/// Text beside the matter: marks and labels of axes.
pub(super) const SOFT: RGBColor = RGBColor(0x5A, 0x5D, 0x62);
/// Lines of the grid.
pub(super) const RULE: RGBColor = RGBColor(0xD9, 0xDB, 0xDE);

/// Lines, in their order; as far apart as colour-blind eyes need, and dark enough for paper. A
/// seventh line begins again.
pub(super) const LINES: [RGBColor; 6] = [
    RGBColor(0x00, 0x67, 0xA5),
    RGBColor(0xC4, 0x4E, 0x00),
    RGBColor(0x00, 0x80, 0x5C),
    RGBColor(0xA8, 0x54, 0x8A),
    RGBColor(0x8A, 0x6D, 0x00),
    RGBColor(0x4A, 0x4D, 0x52),
];

/// Size of text, in units of the drawing; the page shows drawings at about half their size.
const TEXT_UNITS: f64 = 24.0;
/// The drawing library's height of a line of text, as a share of the text.
const LINE_HEIGHT: f64 = 1.24;
/// A letter's width as a share of its height, on the wide side: labels must not be cut off.
const LETTER_WIDTH: f64 = 0.58;

const LINE_UNITS: u32 = 4;
const MARKER_UNITS: i32 = 8;
const SWATCH_UNITS: (u32, u32) = (72, 24);

/// The style of text of a colour.
pub(super) fn text(color: &RGBColor) -> TextStyle<'_> {
    let font = ("sans-serif", TEXT_UNITS * LINE_HEIGHT).into_font();
    TextStyle::from(font).color(color)
}

/// How wide the text will be at most, in units of the drawing.
pub(super) fn text_units(text: &str) -> u32 {
    // A label has a few dozen letters; the cast cannot lose anything.
    (text.chars().count() as f64 * TEXT_UNITS * LETTER_WIDTH).ceil() as u32
}

/// The stroke of the line `number`, counted from 0.
pub(super) fn line(number: usize) -> ShapeStyle {
    LINES[number % LINES.len()].stroke_width(LINE_UNITS)
}

/// The fill of bars of the line `number`.
pub(super) fn fill(number: usize) -> ShapeStyle {
    LINES[number % LINES.len()].filled()
}

/// The marker of the line `number`. Shapes repeat after four lines and colours after six, so twelve
/// pairs differ.
pub(super) fn marker<'a, C: Clone + 'static>(
    number: usize,
    at: C,
) -> DynElement<'static, SVGBackend<'a>, C> {
    match number % 4 {
        0 => Circle::new(at, MARKER_UNITS, fill(number)).into_dyn(),
        1 => TriangleMarker::new(at, MARKER_UNITS + 3, fill(number)).into_dyn(),
        2 => Cross::new(at, MARKER_UNITS, line(number)).into_dyn(),
        // A ring.
        _ => Circle::new(at, MARKER_UNITS, line(number)).into_dyn(),
    }
}

/// A piece of the line with its marker, for a legend.
pub(super) fn swatch(number: usize) -> Result<String, DrawError> {
    let (width, height) = (SWATCH_UNITS.0 as i32, SWATCH_UNITS.1 as i32);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SWATCH_UNITS).into_drawing_area();
        let middle = height / 2;
        // Three points: two are written as another kind of element, which the dashes of the page do
        // not reach.
        let points = [0, width / 2, width].map(|x| (x, middle)).to_vec();
        root.draw(&PathElement::new(points, line(number)))?;
        root.draw(&marker(number, (width / 2, middle)))?;
        root.present()?;
    }
    Ok(svg)
}
