//! What happened over a day, as bars: drawn here, as SVG without a script, with the same numbers as a table for who reads instead of looking.
//!
//! ```text
//!   ▂▅▂ ▁▁▃   up: what came, accepted, left out and refused
//!   ───────
//!   ▂▄▂ ▁▁▂   down: what went out, delivered and failed
//! ```
//!
//! In a page: `{{ chart }}` where the template has a [`Chart`]; colours are the style sheet's, by class.

use std::fmt::{self, Write as _};

use hookplane_proto::v1;

use crate::moment::Moment;
use crate::words::number;

/// Of a day, half an hour each.
const BARS: i64 = 48;
const SECONDS: i64 = 86_400 / BARS;
/// Units of the drawing.
const BAR: i64 = 10;
const GAP: i64 = 2;
const HALF: i64 = 60;
const WIDTH: i64 = BARS * (BAR + GAP);

/// What one bar stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    accepted: u64,
    filtered: u64,
    refused: u64,
    duplicates: u64,
    delivered: u64,
    failed: u64,
}

impl Sums {
    fn add(&mut self, bucket: &v1::ActivityBucket) {
        for (sum, more) in [
            (&mut self.accepted, bucket.accepted),
            (&mut self.filtered, bucket.filtered),
            (&mut self.refused, bucket.refused),
            (&mut self.duplicates, bucket.duplicates),
            (&mut self.delivered, bucket.delivered),
            (&mut self.failed, bucket.failed),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// Above the line, from it.
    fn up(&self) -> [(&'static str, u64); 4] {
        [
            ("accepted", self.accepted),
            ("duplicates", self.duplicates),
            ("filtered", self.filtered),
            ("refused", self.refused),
        ]
    }

    /// Below it.
    fn down(&self) -> [(&'static str, u64); 2] {
        [("delivered", self.delivered), ("failed", self.failed)]
    }
}

/// A chart of the day up to now.
#[derive(Debug)]
pub(crate) struct Chart {
    /// What it is of, as its title.
    of: String,
    bars: Vec<Sums>,
    /// When the first bar begins, in seconds since 1970.
    begins: i64,
    /// Counting began later than that.
    since: Option<Moment>,
}

/// From what GetActivity answers, in any order.
pub(crate) fn of(of: impl Into<String>, buckets: &[v1::ActivityBucket], now: i64) -> Chart {
    // The last bar has now in it.
    let ends = (now.div_euclid(SECONDS) + 1) * SECONDS;
    let begins = ends - BARS * SECONDS;
    let mut bars = vec![Sums::default(); BARS as usize];
    for bucket in buckets {
        let Some(start) = &bucket.start_time else {
            continue;
        };
        let bar = (start.seconds - begins).div_euclid(SECONDS);
        if let Some(bar) = usize::try_from(bar).ok().and_then(|bar| bars.get_mut(bar)) {
            bar.add(bucket);
        }
    }
    Chart {
        of: of.into(),
        bars,
        begins,
        since: None,
    }
}

impl Chart {
    /// What happened before then isn't counted.
    pub(crate) fn since(mut self, since: Option<prost_types::Timestamp>) -> Self {
        self.since = Moment::of(since.as_ref());
        self
    }

    /// What the tallest bar stands for, at least 1.
    fn highest(&self) -> u64 {
        let most = |parts: &[(&str, u64)]| {
            let parts = parts.iter();
            parts.fold(0, |most: u64, (_, sum)| most.saturating_add(*sum))
        };
        let bars = self.bars.iter();
        // One scale for both halves: what went out is to be compared with what came.
        let highest = bars.map(|bar| most(&bar.up()).max(most(&bar.down()))).max();
        highest.unwrap_or(0).max(1)
    }

    /// When a bar begins.
    fn time(&self, bar: i64) -> Option<Moment> {
        Moment::of(Some(&prost_types::Timestamp {
            seconds: self.begins + bar * SECONDS,
            nanos: 0,
        }))
    }
    /// Nothing happened.
    pub(crate) fn is_empty(&self) -> bool {
        self.bars.iter().all(|bar| *bar == Sums::default())
    }

    fn total(&self) -> Sums {
        self.bars.iter().fold(Sums::default(), |mut total, bar| {
            for (sum, more) in [
                (&mut total.accepted, bar.accepted),
                (&mut total.filtered, bar.filtered),
                (&mut total.refused, bar.refused),
                (&mut total.duplicates, bar.duplicates),
                (&mut total.delivered, bar.delivered),
                (&mut total.failed, bar.failed),
            ] {
                *sum = sum.saturating_add(more);
            }
            total
        })
    }

    /// What the drawing says, in a sentence.
    fn sentence(&self) -> String {
        let total = self.total();
        let parts: Vec<String> = total
            .up()
            .into_iter()
            .chain(total.down())
            .map(|(name, sum)| format!("{} {}", number(sum), word(name)))
            .collect();
        format!("In the last 24 hours: {}.", parts.join(", "))
    }

    fn svg(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.highest();
        write!(
            f,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {}" role="img" aria-label="{}" preserveAspectRatio="none"><desc>{}</desc>"#,
            2 * HALF,
            escaped(&self.of),
            escaped(&self.sentence())
        )?;
        for (index, bar) in self.bars.iter().enumerate() {
            let x = index as i64 * (BAR + GAP);
            let (mut above, mut below) = (HALF, HALF);
            for (class, sum) in bar.up() {
                let height = height(sum, highest);
                above -= height;
                rect(f, class, x, above.max(0), height)?;
            }
            for (class, sum) in bar.down() {
                let height = height(sum, highest);
                rect(f, class, x, below, height)?;
                below += height;
            }
        }
        write!(
            f,
            r#"<line class="axis" x1="0" x2="{WIDTH}" y1="{HALF}" y2="{HALF}"/></svg>"#
        )
    }

    /// Hours in which anything happened, newest first.
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"<details><summary>As numbers</summary><div class="table"><table><thead><tr><th scope="col">From</th>"#)?;
        for (name, _) in Sums::default()
            .up()
            .into_iter()
            .chain(Sums::default().down())
        {
            write!(f, r#"<th scope="col" class="number">{}</th>"#, word(name))?;
        }
        f.write_str("</tr></thead><tbody>")?;
        let bars = self.bars.iter().enumerate().rev();
        for (index, bar) in bars.filter(|(_, bar)| **bar != Sums::default()) {
            f.write_str(r#"<tr><th scope="row">"#)?;
            if let Some(time) = self.time(index as i64) {
                write!(f, "{time}")?;
            }
            f.write_str("</th>")?;
            for (_, sum) in bar.up().into_iter().chain(bar.down()) {
                write!(f, r#"<td class="number">{}</td>"#, number(sum))?;
            }
            f.write_str("</tr>")?;
        }
        f.write_str("</tbody></table></div></details>")
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"<figure class="chart">"#)?;
        self.svg(f)?;
        f.write_str(r#"<figcaption><p class="small axis">"#)?;
        // Where it begins, its middle, and now.
        for bar in [0, BARS / 2, BARS] {
            if let Some(time) = self.time(bar) {
                write!(f, "{time} ")?;
            }
        }
        f.write_str(r#"</p><p class="small">The last 24 hours, a bar for each half hour: above the line what came, below it what went out."#)?;
        if !self.is_empty() {
            write!(f, " The tallest is {}.", number(self.highest()))?;
        }
        if let Some(since) = &self.since {
            write!(
                f,
                " <b>Counted since {since}: what came before isn’t in it.</b>"
            )?;
        }
        f.write_str(r#"</p><ul class="legend">"#)?;
        let total = self.total();
        for (name, sum) in total.up().into_iter().chain(total.down()) {
            write!(
                f,
                r#"<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect class="{name}" width="10" height="10"/></svg> {} {}</li>"#,
                number(sum),
                word(name)
            )?;
        }
        f.write_str("</ul>")?;
        if !self.is_empty() {
            self.table(f)?;
        }
        f.write_str("</figcaption></figure>")
    }
}

// What is written are numbers, words of this file, and one text that is escaped.
impl askama::filters::HtmlSafe for Chart {}

/// What people call it.
fn word(name: &str) -> &str {
    match name {
        "filtered" => "not kept",
        "failed" => "failed attempts",
        name => name,
    }
}

/// Something that happened is seen, however little it is beside the rest.
fn height(sum: u64, highest: u64) -> i64 {
    match sum {
        0 => 0,
        sum => ((sum as f64 / highest as f64 * HALF as f64) as i64).max(1),
    }
}

fn rect(f: &mut fmt::Formatter<'_>, class: &str, x: i64, y: i64, height: i64) -> fmt::Result {
    if height == 0 {
        return Ok(());
    }
    write!(
        f,
        r#"<rect class="{class}" x="{x}" y="{y}" width="{BAR}" height="{height}"/>"#
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        let _ = match c {
            '&' | '<' | '>' | '"' | '\'' => write!(safe, "&#{};", u32::from(c)),
            c => safe.write_char(c),
        };
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_787_999;

    fn bucket(ago: i64, accepted: u64, failed: u64) -> v1::ActivityBucket {
        v1::ActivityBucket {
            start_time: Some(prost_types::Timestamp {
                seconds: NOW - ago,
                nanos: 0,
            }),
            accepted,
            failed,
            ..Default::default()
        }
    }

    #[test]
    fn each_half_hour_is_a_bar_and_what_is_older_than_a_day_is_none() {
        let chart = of(
            "x",
            &[bucket(0, 3, 1), bucket(60, 4, 0), bucket(90_000, 9, 0)],
            NOW,
        );
        assert_eq!(chart.bars.len(), 48);
        assert_eq!(chart.total().accepted, 7);
        let last = chart.bars.last().copied().unwrap_or_default();
        assert_eq!((last.accepted, last.failed), (7, 1));
        assert!(chart.sentence().contains("7 accepted") && chart.sentence().contains("1 failed"));
    }

    #[test]
    fn the_highest_bar_fills_its_half_and_a_small_one_is_still_seen() {
        let chart = of("x", &[bucket(0, 1_000_000, 0), bucket(7_200, 1, 0)], NOW);
        let text = chart.to_string();
        assert!(text.contains(r#"y="0" width="10" height="60""#), "{text}");
        assert!(text.contains(r#"y="59" width="10" height="1""#), "{text}");
    }

    #[test]
    fn a_chart_that_began_later_says_since_when_it_counts() {
        let chart = of("x", &[bucket(0, 1, 0)], NOW);
        assert!(!chart.to_string().contains("Counted since"));
        let since = prost_types::Timestamp {
            seconds: NOW - 60,
            nanos: 0,
        };
        let text = of("x", &[], NOW).since(Some(since)).to_string();
        assert!(text.contains("Counted since <time"), "{text}");
    }

    #[test]
    fn the_title_is_text_and_an_empty_chart_is_whole() {
        let text = of("<b>\"x\"", &[], NOW).to_string();
        assert!(text.contains("&#60;b&#62;&#34;x&#34;") && !text.contains("<b>"));
        assert!(text.ends_with("</figure>") && !text.contains("<table"));
        // What a page may have is 200 KB; two charts fit by far.
        let busy: Vec<_> = (0..288)
            .map(|n| bucket(n * 300, u64::MAX, u64::MAX))
            .collect();
        assert!(of("x", &busy, NOW).to_string().len() < 40_000);
    }
}
