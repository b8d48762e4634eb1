//! Plots as SVG: for each load a panel, for each observer a line with median and quartiles. Colours
//! suit light and dark pages.

use super::statistics::Spread;

/// A picture.
pub(super) struct Plot {
    /// Of its file.
    pub(super) name: &'static str,
    pub(super) title: String,
    /// From top to bottom of each panel.
    pub(super) observers: Vec<&'static str>,
    pub(super) panels: Vec<Panel>,
    /// What the axis shows; numbers beyond are drawn at its end.
    pub(super) bounds: (f64, f64),
}

/// One load.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) points: Vec<(&'static str, Spread)>,
}

/// Panels side by side.
const COLUMNS: usize = 3;
const MARGIN: f64 = 12.0;
const TITLE: f64 = 34.0;
/// A panel: names at the left, the axis, the median as a number at the right.
const NAMES: f64 = 96.0;
const AXIS: f64 = 170.0;
const NUMBERS: f64 = 44.0;
const ROW: f64 = 18.0;
const HEAD: f64 = 22.0;
const FOOT: f64 = 30.0;
const WIDTH: f64 = NAMES + AXIS + NUMBERS;
/// Between two numbers at the axis.
const STEPS: f64 = 4.0;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}
.title{font-size:15px}.load{font-weight:600}.small{font-size:10px;fill:#57606a}
.grid{stroke:#d0d7de}.one{stroke:#8c959f;stroke-dasharray:3 2}
.ours{stroke:#0969da;fill:#0969da}.other{stroke:#6e7781;fill:#6e7781}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.small{fill:#9198a1}.grid{stroke:#3d444d}.one{stroke:#9198a1}
.ours{stroke:#58a6ff;fill:#58a6ff}.other{stroke:#9198a1;fill:#9198a1}}
";

/// The picture.
pub(super) fn svg(plot: &Plot) -> String {
    let columns = plot.panels.len().clamp(1, COLUMNS);
    let rows = plot.panels.len().div_ceil(COLUMNS);
    let height = HEAD + ROW * plot.observers.len() as f64 + FOOT;
    let full_width = 2.0 * MARGIN + columns as f64 * WIDTH;
    let full_height = MARGIN + TITLE + rows as f64 * height;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {full_width} {full_height}\" \
         role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"24\">{title}</text>\n",
        title = escape(&plot.title),
    );
    for (n, panel) in plot.panels.iter().enumerate() {
        let x = MARGIN + (n % COLUMNS) as f64 * WIDTH;
        let y = TITLE + (n / COLUMNS) as f64 * height;
        svg += &format!("<g transform=\"translate({x},{y})\">\n{}</g>\n", panel.svg(plot));
    }
    svg + "</svg>\n"
}

impl Panel {
    fn svg(&self, plot: &Plot) -> String {
        let mut svg = format!(
            "<text class=\"load\" x=\"{NAMES}\" y=\"14\">{}</text>\n{}",
            escape(self.title),
            axis(plot)
        );
        for (row, observer) in plot.observers.iter().enumerate() {
            let y = HEAD + (row as f64 + 0.5) * ROW;
            svg += &format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
                NAMES - 6.0,
                y + 4.0,
                escape(observer)
            );
            let point = self.points.iter().find(|(name, _)| name == observer);
            svg += &point.map_or_else(String::new, |(_, spread)| mark(plot, observer, *spread, y));
        }
        svg
    }
}

/// Lines at round numbers, and one at 1, which is no difference at all.
fn axis(plot: &Plot) -> String {
    let (low, high) = plot.bounds;
    let bottom = HEAD + ROW * plot.observers.len() as f64;
    let line = |class: &str, x: f64| {
        format!(
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEAD}\" y2=\"{bottom}\"/>\n"
        )
    };
    let mut svg = String::new();
    for step in 0..=STEPS as u32 {
        let value = low + (high - low) * f64::from(step) / STEPS;
        let x = place(plot, value);
        svg += &line("grid", x);
        svg += &format!(
            "<text class=\"small\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            bottom + 12.0,
            (value * 100.0).round() / 100.0
        );
    }
    svg + &line("one", place(plot, 1.0))
}

fn mark(plot: &Plot, observer: &str, spread: Spread, y: f64) -> String {
    let class = if observer.starts_with("tracer") { "ours" } else { "other" };
    let [low, median, high] =
        [spread.low, spread.median, spread.high].map(|value| place(plot, value));
    format!(
        "<line class=\"{class}\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y}\" y2=\"{y}\" \
         stroke-width=\"2\"/>\n<circle class=\"{class}\" cx=\"{median:.1}\" cy=\"{y}\" r=\"3.5\"/>\n\
         <text x=\"{}\" y=\"{}\">{:.2}</text>\n",
        NAMES + AXIS + 8.0,
        y + 4.0,
        spread.median
    )
}

fn place(plot: &Plot, value: f64) -> f64 {
    let (low, high) = plot.bounds;
    NAMES + AXIS * ((value - low) / (high - low)).clamp(0.0, 1.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let spread = Spread { low: 0.5, median: 0.6, high: 9.0 };
        Plot {
            name: "test",
            title: "a < b & c".to_owned(),
            observers: vec!["tcpdump", "tracer"],
            panels: vec![
                Panel { title: "one", points: vec![("tracer", spread)] },
                Panel { title: "two", points: vec![] },
            ],
            bounds: (0.0, 1.2),
        }
    }

    /// Every element is closed, in order; `style` has no markup in it.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("not closed: {tag}"));
            let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn it_is_well_formed() {
        let svg = svg(&plot());
        assert_well_formed(&svg);
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert_eq!(svg.matches("class=\"load\"").count(), 2);
    }

    #[test]
    fn what_is_beyond_the_axis_is_drawn_at_its_end() {
        assert_eq!(place(&plot(), 9.0), NAMES + AXIS);
        assert_eq!(place(&plot(), 0.6), NAMES + AXIS / 2.0);
    }
}
