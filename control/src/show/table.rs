//! Columns as wide as their widest cell.

/// Which side of its column a cell stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Lays the rows out in columns, two spaces apart, without spaces at the end of a line.
pub(super) fn lay_out(columns: &[Align], rows: &[Vec<String>]) -> String {
    let mut widths = vec![0; columns.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, ((cell, width), align)) in row.iter().zip(&widths).zip(columns).enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            line += &match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["State", "Recv-Q", "Peer"]), row(["LISTEN", "0", "x"])];
        let text = lay_out(&[Align::Left, Align::Right, Align::Left], &rows);
        assert_eq!(text, "State   Recv-Q  Peer\nLISTEN       0  x\n");
    }
}
