//! The nearest known word to a wrong one.

/// The known word that is closest, when it is close enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|word| (distance(wrong, word), word))
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, word)| (*far, *word))
        .map(|(_, word)| word)
}

/// Edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(corner + usize::from(x != *y));
            corner = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        let known = ["http.address", "admin.address", "log.level"];
        assert_eq!(nearest("http.adress", known), Some("http.address"));
        assert_eq!(nearest("log.levle", known), Some("log.level"));
        assert_eq!(nearest("nonsense", known), None);
    }
}
