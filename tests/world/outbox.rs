//! Results as people find them: whole, each row in its place, each order id on its own row, and never changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use imeid::journal::View;
use imeid::outbox::write_result;
use imeid::types::{BatchId, Money, ProviderOrderId};
use sha2::{Digest, Sha256};

use super::World;
use super::files::{Dropped, SERVICES};

/// The results that were read already: they never change.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<String, (u64, u64)>);

/// A row of a result.
#[derive(Clone, Debug)]
pub(crate) struct ResultLine {
    pub(crate) status: String,
    pub(crate) id: Option<ProviderOrderId>,
    pub(crate) cost: Money,
}

/// The SHA-256 of a text, as the journal writes it.
fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Batches by NAME, with the files that they were made of.
pub(crate) fn batches(world: &World) -> BTreeMap<String, (i64, Dropped)> {
    let by_hash: BTreeMap<String, &Dropped> =
        world.dropped.iter().map(|file| (sha256(&file.text), file)).collect();
    let view = &world.life.as_ref().unwrap().view;
    let mut statement = view.prepare_cached("SELECT name, id, sha256 FROM batches").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)));
    rows.unwrap()
        .map(|row| {
            let (name, id, hash): (String, i64, String) = row.unwrap();
            let file = by_hash.get(&hash).unwrap_or_else(|| panic!("{name} is of no file that was dropped"));
            (name, (id, (*file).clone()))
        })
        .collect()
}

/// Looks through the outbox: what has a final name is whole, right, and as it was.
pub(crate) fn check(world: &mut World) {
    let mut names = Vec::new();
    for entry in fs::read_dir(world.outbox()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let metadata = entry.metadata().unwrap();
        if name.starts_with('.') || name == "READ ME.txt" {
            continue;
        }
        names.push((name, (metadata.ino(), metadata.len())));
    }
    let is_final = |name: &str| name.contains(".results.") || name.contains(".settled");
    for name in world.seen.0.keys() {
        assert!(names.iter().any(|(there, _)| there == name), "{name} is gone from the outbox");
    }
    let fresh: Vec<_> = names
        .into_iter()
        .filter(|(name, identity)| match world.seen.0.get(name) {
            Some(before) => {
                assert_eq!(before, identity, "{name} was changed after it was published");
                false
            }
            None => true,
        })
        .collect();
    if fresh.is_empty() {
        return;
    }
    let batches = batches(world);
    for (name, identity) in fresh {
        let stem = name.rsplitn(3, '.').last().unwrap();
        let (_, file) = batches.get(stem).unwrap_or_else(|| panic!("{name} is of no batch"));
        read(world, &world.outbox().join(&name), file);
        if is_final(&name) {
            world.seen.0.insert(name, identity);
        }
    }
}

/// Reads a result, checking it against the file it came of and against the provider's books.
pub(crate) fn read(world: &World, path: &Path, file: &Dropped) -> Vec<ResultLine> {
    let shown = path.file_name().unwrap().to_string_lossy();
    let bytes = fs::read(path).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or_else(|| panic!("{shown} has lost its beginning"));
    assert!(text.ends_with("\r\n"), "{shown} is cut");
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[..4], ["lot", "IMEI", "own", "imeid_status"], "{shown}");
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (id_at, cost_at) = (column("imeid_order_id"), column("imeid_cost"));
    let known = world.wire.statuses();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), file.lines.len(), "{shown}: rows in, rows out");
    let mut read = Vec::new();
    for (at, (row, line)) in rows.iter().zip(&file.lines).enumerate() {
        let what = format!("{shown} row {}", at + 1);
        assert_eq!((&row[1], &row[2]), (line.cell.as_str(), format!("a \"{at}\"").as_str()), "{what}");
        assert_eq!(&row[3] == "invalid", line.imei.is_none(), "{what} is {}", &row[3]);
        let id = (!row[id_at].is_empty()).then(|| ProviderOrderId(row[id_at].parse().unwrap()));
        if let Some(id) = id {
            let (imei, network_id, status) =
                known.get(&id).unwrap_or_else(|| panic!("{what}: the provider has no order {id}"));
            assert_eq!(Some(*imei), line.imei, "{what} has the order of another IMEI");
            assert_eq!(network_id.0, SERVICES[file.service].network_id, "{what}: of another service");
            if &row[3] == "completed" {
                assert_eq!(status, "Completed", "{what}");
            }
        }
        // An export tells what became of an order, and no id.
        let needs_id = ["completed", "rejected"].contains(&&row[3]) && world.exports() == 0;
        assert!(!needs_id || id.is_some(), "{what} is {} without an id", &row[3]);
        let cost = row[cost_at].parse().unwrap_or(Money::ZERO);
        read.push(ResultLine { status: row[3].to_owned(), id, cost });
    }
    read
}

/// The newest file of a batch that is done says what the journal would write of it now, but for the words of the notes.
pub(crate) fn is_newest_of_all(world: &World, path: &Path, id: i64) {
    let journal = View::open(&world.journal()).unwrap();
    let batch = journal.batch(BatchId(id)).unwrap().unwrap();
    let mut now = Vec::new();
    write_result(&journal, &batch, &mut now).unwrap();
    let shown = path.file_name().unwrap().to_string_lossy();
    let (published, now) = (without_notes(&fs::read(path).unwrap()), without_notes(&now));
    for (row, (published, now)) in published.iter().zip(&now).enumerate() {
        assert_eq!(published, now, "{shown} row {row} isn't what the journal says");
    }
    assert_eq!(published.len(), now.len(), "{shown}");
}

/// The rows of a result, the header first.
fn without_notes(result: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').has_headers(false).from_reader(result);
    let mut rows: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    let note = rows[0].iter().position(|name| name == "imeid_note").unwrap();
    for row in &mut rows {
        row.remove(note);
    }
    rows
}
