//! A drawing as an SVG file, light or dark as its reader has it.

use std::fmt::Write;

use super::drawing::{Anchor, Drawing, Paint, Shape, colour, hexadecimal};

const STYLE: &str = "\
svg{background:#fff}\
text{font-family:system-ui,sans-serif;fill:#222}\
.faint{stroke:#ddd}\
.ink{stroke:#222}\
@media(prefers-color-scheme:dark){\
svg{background:#16181d}\
text{fill:#ddd}\
.faint{stroke:#3a3d45}\
.ink{stroke:#ddd}\
}";

impl Drawing {
    /// The text of an SVG file.
    pub fn to_svg(&self) -> String {
        let (width, height) = (self.width, self.height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n"
        );
        for shape in &self.shapes {
            svg.push_str(&element(shape));
            svg.push('\n');
        }
        svg + "</svg>\n"
    }
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Line {
            points,
            paint,
            width,
        } => {
            let points = path(points.iter().copied());
            let stroke = match paint {
                Paint::Faint => "class=\"faint\"".to_string(),
                Paint::Ink => "class=\"ink\"".to_string(),
                Paint::Curve(number) => format!("stroke=\"{}\"", hexadecimal(colour(*number))),
            };
            format!(
                "<polyline fill=\"none\" stroke-width=\"{width}\" stroke-linejoin=\"round\" \
                 stroke-linecap=\"round\" {stroke} points=\"{points}\"/>"
            )
        }
        Shape::Band { edges, paint } => {
            let upper = edges.iter().map(|[x, upper, _]| [*x, *upper]);
            let lower = edges.iter().rev().map(|[x, _, lower]| [*x, *lower]);
            let points = path(upper.chain(lower));
            let fill = match paint {
                Paint::Faint | Paint::Ink => "#888".to_string(),
                Paint::Curve(number) => hexadecimal(colour(*number)),
            };
            format!("<polygon fill=\"{fill}\" fill-opacity=\"0.2\" points=\"{points}\"/>")
        }
        Shape::Text {
            at: [x, y],
            anchor,
            size,
            text,
        } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let text = escaped(text);
            format!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\">\
                 {text}</text>"
            )
        }
    }
}

fn path(points: impl Iterator<Item = [f64; 2]>) -> String {
    let mut path = String::new();
    for [x, y] in points {
        let _ = write!(path, "{x:.1},{y:.1} ");
    }
    path.pop();
    path
}

/// Text as it stands between tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
