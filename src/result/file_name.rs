//! What a file's name in the outbox says.

/// The NAME of the batch of which this is a file with a table: `NAME.results.csv`, `NAME.settled.csv`,
/// `NAME.settled-2.csv` and so on, `NAME.partial.csv`.
#[must_use]
pub fn name_in_outbox(file: &str) -> Option<&str> {
    let (name, kind) = file.strip_suffix(".csv")?.rsplit_once('.')?;
    let is_number = |n: &str| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = ["results", "settled", "partial"].contains(&kind)
        || kind.strip_prefix("settled-").is_some_and(is_number);
    (is_one && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_outbox_says_its_batch_whatever_kind_it_is() {
        for kind in ["results", "settled", "settled-2", "settled-17", "partial"] {
            assert_eq!(name_in_outbox(&format!("a.b.{kind}.csv")), Some("a.b"), "{kind}");
        }
        let none = [
            "stock.csv",
            "stock.results",
            "stock.settled-.csv",
            "stock.settled-b.csv",
            "stock.results-2.csv",
        ];
        for file in none.into_iter().chain([".results.csv", "results.csv", ""]) {
            assert_eq!(name_in_outbox(file), None, "{file}");
        }
    }
}
