//! Output: tables and numbers for people, one JSON object for programs.

use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// A table without lines. Columns whose head begins with `>` are aligned to the right.
pub(crate) fn table<const N: usize>(heads: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(heads.map(|head| head.trim_start_matches('>')));
    for (head, column) in heads.iter().zip(table.column_iter_mut()) {
        column.set_padding((0, 2));
        if head.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Prints a table without the blanks that its last column would leave at the end of lines.
pub(crate) fn show(table: &Table) {
    for line in table.lines() {
        println!("{}", line.trim_end());
    }
}

/// Prints one JSON object, indented.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A whole number with commas between thousands.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, rounded to a whole number per second.
pub(crate) fn rate(count: u64, time: Duration) -> u64 {
    if time.is_zero() {
        return 0;
    }
    (count as f64 / time.as_secs_f64()).round() as u64
}

/// `1 room`, `2 rooms`.
pub(crate) fn count(number_of: u64, one: &str) -> String {
    format!("{} {one}{}", number(number_of), if number_of == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_gets_commas_between_thousands() {
        let texts = [0, 999, 1_000, 55_256, 1_234_567].map(number);
        assert_eq!(texts, ["0", "999", "1,000", "55,256", "1,234,567"]);
        assert_eq!(count(1, "room"), "1 room");
        assert_eq!(count(1_200, "room"), "1,200 rooms");
    }

    #[test]
    fn rate_of_no_time_is_nothing() {
        assert_eq!(rate(10, Duration::ZERO), 0);
        assert_eq!(rate(1_000, Duration::from_millis(500)), 2_000);
    }
}
