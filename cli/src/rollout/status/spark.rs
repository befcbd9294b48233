//! Figures over time in one line.

const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The figure of the ring, and that of its control.
type Pair = (Option<f64>, Option<f64>);

/// A gate's figure over time, of the ring and of its control, on one scale: that of the least and the most of both. Of a long history each step shows a
/// mean; where nothing is known there is a blank.
pub(super) fn sparks(history: &[Pair], width: usize) -> (String, String) {
    let per_step = history.len().div_ceil(width.max(1)).max(1);
    let means: Vec<Pair> = history
        .chunks(per_step)
        .map(|chunk| (mean(chunk.iter().map(|pair| pair.0)), mean(chunk.iter().map(|pair| pair.1))))
        .collect();
    let all = || means.iter().flat_map(|(ring, control)| [*ring, *control]).flatten();
    let least = all().fold(f64::INFINITY, f64::min);
    let most = all().fold(f64::NEG_INFINITY, f64::max);
    let line = |of: fn(&Pair) -> Option<f64>| {
        means.iter().map(|pair| of(pair).map_or(' ', |value| step(value, least, most))).collect::<String>()
    };
    (line(|pair| pair.0).trim_end().to_owned(), line(|pair| pair.1).trim_end().to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "a history has far fewer than 2^52 values")]
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values
        .flatten()
        .filter(|value| value.is_finite())
        .fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 8")]
fn step(value: f64, least: f64, most: f64) -> char {
    let range = most - least;
    // What never changes is low where it is nothing, and in the middle where it is something.
    let share = if range > 0.0 {
        (value - least) / range
    } else if value == 0.0 {
        0.0
    } else {
        0.45
    };
    let at = (share.clamp(0.0, 1.0) * 8.0) as usize;
    STEPS.get(at).copied().unwrap_or('█')
}
