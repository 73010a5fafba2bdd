//! What runs while millions of finished orders are there must not read them all.

use proc_macro2::{TokenStream, TokenTree};

use super::*;

/// Tables that grow with every order, file or answer.
const GROWING: [&str; 11] = [
    "answers",
    "attempts",
    "charges",
    "events",
    "ledger",
    "orders",
    "prune_later",
    "results",
    "rows",
    "tallies",
    "told_ids",
];
/// Indexes that hold the live part alone: to walk through one costs what that costs.
const LIVE: [&str; 7] = [
    "attempts_open",
    "batches_busy",
    "orders_due",
    "orders_presumed",
    "orders_queued",
    "orders_released",
    "orders_unsure",
];
/// Files whose statements read whole tables on purpose, none of them in a loop: a copy is compared with its original, and
/// a journal is looked through for damage.
const WHOLE: [&str; 2] = ["backup.rs", "damage.rs"];
/// What stands for a part that a statement is put together from. One that isn't here is among [`PUT_TOGETHER`].
const PARTS: [(&str, &str); 10] = [
    ("{COLUMNS}", "id"),
    ("{ORDER}", "o.id, results.code, a.n"),
    ("{OF_ORDER}", "LEFT JOIN results ON results.order_id = o.id LEFT JOIN attempts a ON a.order_id = o.id"),
    ("{BATCH}", "SELECT id FROM batches"),
    ("{current}", "current = 1"),
    ("{OF_ACCOUNT}", "service IN (SELECT id FROM services WHERE account = 'a')"),
    ("{IN_FLIGHT}", orders::IN_FLIGHT),
    ("{UNSURE}", orders::UNSURE),
    ("{states}", "1"),
    ("{verdicts}", "1"),
];
/// Statements that are only the beginning of one, which is among [`PUT_TOGETHER`].
const BEGINNINGS: [&str; 2] =
    ["SELECT id FROM orders WHERE service = ?1 AND imei = ?2", " AND totals.key = batches.id"];
/// Asked only by a start, and over with the first row that is found; and only where a file is taken back in a journal that
/// was an older copy.
const RARE: [&str; 3] = [
    " OR counted + unaccounted + inferred + presumed + charged > 0) LIMIT 1",
    "SELECT 1 FROM batches UNION ALL SELECT 1 FROM exports UNION ALL SELECT 1 FROM ledger LIMIT 1",
    "FROM orders WHERE batch = ?1 AND attempts > 0",
];
/// How many statements have other parts: whoever adds one adds what it comes to below.
const OTHERS: usize = 11;

/// Those, as they are run.
const PUT_TOGETHER: &[&str] = &[
    "SELECT id FROM orders WHERE state = 0 AND batch = 1 AND due_at <= 5 ORDER BY due_at, id LIMIT 3",
    "SELECT min(due_at) FROM orders WHERE state = 0 AND batch = 1 AND due_at > 5",
    "SELECT id FROM orders WHERE state = 2 AND probe_ok = 1 AND due_at <= 5 ORDER BY due_at, id LIMIT 3",
    "SELECT min(due_at) FROM orders WHERE state = 2 AND probe_ok = 1 AND due_at > 5",
    "SELECT max(doubt_since) FROM orders WHERE state = 2 AND rested_after IS NULL",
    "SELECT id FROM orders WHERE state = 2 AND rested_after IS NULL AND doubt_since <= 5",
    "SELECT id FROM orders WHERE state = 2 AND doubt_since > 5",
    "SELECT id FROM orders WHERE service IN (SELECT id FROM services WHERE account = 'a') AND {UNSURE} AND provider_id IS NULL ORDER BY id",
    "SELECT id FROM orders WHERE presumed > 0 AND charged > 0 AND state <> 1 AND rested_after IS NULL AND doubt_since <= 5",
    "SELECT id FROM orders WHERE presumed > 0 AND charged > 0 AND rested_after IS NULL AND doubt_since > 5",
    "SELECT id FROM orders WHERE service IN (SELECT id FROM services WHERE account = 'a') AND presumed > 0 AND charged > 0 AND provider_id IS NOT NULL AND state <> 1 ORDER BY rested_after, id",
    "SELECT max(doubt_since) FROM orders WHERE presumed > 0 AND charged > 0 AND provider_id IS NOT NULL",
    "SELECT 1 FROM orders WHERE state = 2 UNION ALL SELECT 1 FROM orders \
         WHERE presumed > 0 AND charged > 0 LIMIT 1",
    "SELECT max(doubt_since) FROM orders WHERE inferred > 0 AND provider_id IS NOT NULL AND doubt_since > 5",
    "SELECT provider_id FROM orders JOIN services ON services.id = orders.service WHERE state = 3 AND \
         provider_id <= 5 AND account = 'a' ORDER BY due_at DESC LIMIT 1",
    "SELECT id FROM orders WHERE {UNSURE} AND provider_id IS NULL AND service IN (SELECT id FROM services WHERE account = 'a') ORDER BY id",
    "SELECT id FROM orders WHERE {UNSURE} AND state = 2 AND provider_id IS NULL ORDER BY id LIMIT 3",
    "SELECT id FROM orders WHERE service IN (SELECT id FROM services WHERE account = 'a') AND {IN_FLIGHT} ORDER BY id",
    "SELECT id FROM orders WHERE service IN (SELECT id FROM services WHERE account = 'a') AND state = 0 AND inferred > 0 ORDER BY id",
    "SELECT id FROM orders WHERE state = 3 AND due_at <= 5 ORDER BY due_at, id LIMIT 3",
    "SELECT min(due_at) FROM orders WHERE state = 3",
    "SELECT id FROM orders WHERE state = 3 AND due_at > 5 ORDER BY due_at, id LIMIT 3",
    "SELECT id FROM orders WHERE service = 1 AND imei = 1 AND current = 1",
    "SELECT id FROM orders WHERE service = 1 AND imei = 1 AND current = 0 LIMIT 1",
    "SELECT id FROM batches WHERE state NOT IN (4, 5) ORDER BY +id",
    "SELECT id FROM rows WHERE order_id = 1 AND link = 1",
    "SELECT id FROM rows WHERE order_id = 1 AND link IN (2, 4)",
    "SELECT id FROM requests WHERE done_at IS NULL ORDER BY id LIMIT 100",
    "SELECT provider_id FROM charges WHERE order_id = 1",
    "SELECT state, count(*) FROM orders WHERE {IN_FLIGHT} AND batch = 0 GROUP BY state",
    "SELECT state, count(*) FROM orders WHERE {UNSURE} AND batch = 0 GROUP BY state",
    "SELECT state, count(*) FROM orders WHERE state = 3 AND batch = 0 GROUP BY state",
    "SELECT id FROM orders WHERE state = 0 AND batch = 1 ORDER BY due_at, id LIMIT 3",
    "SELECT id FROM batches WHERE state NOT IN (4, 5) AND cancelled_at IS NOT NULL AND EXISTS (SELECT 1 \
         FROM tallies WHERE tallies.batch = batches.id AND tallies.state = 0 AND tallies.link = 0 AND n > 0)",
    "SELECT services.id, count(*) FROM orders JOIN services ON services.id = orders.service WHERE {IN_FLIGHT} AND \
         services.account <> 'a' GROUP BY services.id ORDER BY services.id",
    "SELECT services.id, count(*) FROM orders JOIN services ON services.id = orders.service WHERE {UNSURE} AND state IN (2, 4) AND \
         services.account <> 'a' GROUP BY services.id ORDER BY services.id",
    "SELECT services.id, count(*) FROM orders JOIN services ON services.id = orders.service WHERE state = 3 AND \
         services.account <> 'a' GROUP BY services.id ORDER BY services.id",
    "SELECT count(*) FROM attempts WHERE verdict IS NULL AND kind = 1",
    "SELECT coalesce(sum(price), 0) FROM attempts WHERE verdict IS NULL AND day = 1",
    "SELECT n FROM attempts WHERE order_id = 1 AND verdict IS NULL",
    "SELECT n FROM attempts WHERE order_id = 1 AND verdict = 3 ORDER BY n LIMIT 1",
    "SELECT provider_id FROM charges WHERE account = 'a' AND provider_id BETWEEN 1 AND 2",
];

/// Every statement that stands as text in a file of the journal, with its file's name.
fn statements() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && !WHOLE.contains(&name.as_str()) {
                let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                let mut texts = Vec::new();
                gather(tokens, &mut texts);
                found.extend(
                    texts.into_iter().filter(|text| is_statement(text)).map(|text| (name.clone(), text)),
                );
            }
        }
    }
    found
}

fn put_together(text: String) -> String {
    PARTS.iter().fold(text, |sql, (part, whole)| sql.replace(part, whole))
}

fn is_statement(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|word| text.starts_with(word))
}

/// The texts in quotes.
fn gather(tokens: TokenStream, into: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => gather(group.stream(), into),
            TokenTree::Literal(literal) => into.extend(text_of(&literal.to_string())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// A literal's text: a line that ends in a backslash goes on behind the next one's indent.
fn text_of(literal: &str) -> Option<String> {
    let inside = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut lines = inside.split("\\\n");
    let first = lines.next()?.to_owned();
    Some(lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\""))
}

impl Bench {
    /// Steps of the statement's plan that read a growing table, or an index of all of it, from end to end.
    fn scans(&self, sql: &str) -> Vec<String> {
        let steps = self.journal.read_here(|view| Ok(steps(view.connection(), sql)?));
        scans_of(steps.unwrap_or_else(|error| panic!("{sql}: {error}")))
    }
}

/// The steps of a statement's plan.
fn steps(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    for place in 1..=statement.parameter_count() {
        statement.raw_bind_parameter(place, 1)?;
    }
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        steps.push(row.get(3)?);
    }
    Ok(steps)
}

fn scans_of(steps: Vec<String>) -> Vec<String> {
    steps.into_iter().filter(|step| is_scan(step)).collect()
}

fn is_scan(step: &str) -> bool {
    let Some(scanned) = step.strip_prefix("SCAN ") else { return false };
    let mut words = scanned.split(' ');
    let table = words.next().unwrap_or_default();
    let index = words.skip_while(|word| *word != "INDEX").nth(1);
    // Another name for a table in the statement is its first letter.
    let grows = GROWING.iter().any(|name| *name == table || (table.len() == 1 && name.starts_with(table)));
    (grows || table == "batches" || table == "b") && !index.is_some_and(|index| LIVE.contains(&index))
}

#[tokio::test]
async fn no_statement_scans_a_table_that_grows() {
    let bench = Bench::new().await;
    let (mut seen, mut others, mut wrong) = (0, 0, Vec::new());
    for (file, text) in statements() {
        let sql = put_together(text);
        if sql.contains('{') {
            others += 1;
            continue;
        }
        seen += 1;
        // One row from the end of a table.
        let is_short =
            sql.ends_with(" DESC LIMIT 1") || BEGINNINGS.iter().chain(&RARE).any(|part| sql.ends_with(part));
        wrong.extend(
            bench.scans(&sql).into_iter().filter(|_| !is_short).map(|step| format!("{file}: {sql}: {step}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 150, "only {seen} statements were found");
    assert_eq!(
        others, OTHERS,
        "statements that are put together: see whether all of them are in PUT_TOGETHER"
    );
    for sql in PUT_TOGETHER {
        let sql = put_together((*sql).to_owned());
        assert_eq!(bench.scans(&sql), Vec::<String>::new(), "{sql}");
    }
}

/// A start looks before it brings the schema up to date.
#[test]
fn a_start_looks_through_what_is_in_work_by_the_indexes_of_every_schema() {
    for schema in 1..=SCHEMA {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations().to_version(&mut connection, schema).unwrap();
        // One row from the end of an index is short.
        for sql in damage::IN_WORK.iter().filter(|sql| !sql.ends_with(" LIMIT 1")) {
            let steps = steps(&connection, sql).unwrap();
            assert_eq!(scans_of(steps), Vec::<String>::new(), "schema {schema}: {sql}");
        }
    }
}

#[test]
fn a_scan_is_told_from_a_walk_through_what_is_live() {
    for step in ["SCAN orders", "SCAN o USING COVERING INDEX orders_current", "SCAN tallies", "SCAN batches"]
    {
        assert!(is_scan(step), "{step}");
    }
    for step in [
        "SCAN orders USING INDEX orders_queued",
        "SEARCH orders USING INDEX orders_current (service=?)",
        "SCAN services",
        "USE TEMP B-TREE FOR GROUP BY",
    ] {
        assert!(!is_scan(step), "{step}");
    }
}

#[tokio::test]
async fn a_statement_is_planned_once_whatever_is_bound() {
    fn planned_anew(connection: &Connection) -> i32 {
        let sql = "SELECT id FROM orders WHERE state = 0 AND batch = ?1 AND due_at <= 5 ORDER BY due_at, id LIMIT ?2";
        let mut statement = connection.prepare(sql).unwrap();
        for limit in 1..=3 {
            assert_eq!(statement.query_map([1, limit], |_| Ok(())).unwrap().count(), 0);
        }
        statement.get_status(rusqlite::StatementStatus::RePrepare)
    }
    let bench = Bench::new().await;
    let written = bench.journal.write(|tx| Ok(planned_anew(tx.connection()))).await.unwrap();
    let read = bench.journal.read_here(|view| Ok(planned_anew(view.connection()))).unwrap();
    assert_eq!((written, read), (0, 0));
}
