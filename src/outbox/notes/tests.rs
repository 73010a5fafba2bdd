//! Every end of an order with everything that can have been before it: what its row says.

use std::fmt::Write as _;

use super::super::cells::cells;
use super::*;
use crate::journal::{ExportedCells, WhyReleased};
use crate::order::Order;
use crate::result::{Header, ResultCells};
use crate::types::{Imei, OrderId, ProviderOrderId, Timestamp};

const PRICE: Money = Money::from_micros(80_000);

/// What was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Was {
    /// Nothing left.
    Unsent,
    /// Each attempt was refused by an answer.
    TurnedAway,
    Charged,
    ChargedTwice,
    /// By an export's row: no id.
    ChargedUnnamed,
    ChargedTwiceUnnamed,
    /// Another attempt is presumed beside it.
    ChargedAndPresumed,
    Presumed,
    /// It isn't known whether it was taken.
    Reserved,
    ReleasedByWord,
    ReleasedOnAbsence,
    ReleasedTwice,
    /// The provider takes an IMEI once.
    ReleasedOnce,
    /// Another attempt is in flight.
    ReleasedAndReserved,
}

const ALL: [Was; 14] = [
    Was::Unsent,
    Was::TurnedAway,
    Was::Charged,
    Was::ChargedTwice,
    Was::ChargedUnnamed,
    Was::ChargedTwiceUnnamed,
    Was::ChargedAndPresumed,
    Was::Presumed,
    Was::Reserved,
    Was::ReleasedByWord,
    Was::ReleasedOnAbsence,
    Was::ReleasedTwice,
    Was::ReleasedOnce,
    Was::ReleasedAndReserved,
];

/// Whether an order in this state can have this behind it.
fn can_be(state: State, was: Was) -> bool {
    use Was::{
        Charged, ChargedAndPresumed, ChargedTwice, ChargedTwiceUnnamed, ChargedUnnamed, Presumed,
        ReleasedAndReserved, ReleasedByWord, ReleasedOnAbsence, ReleasedOnce, ReleasedTwice, Reserved,
        TurnedAway, Unsent,
    };
    let released = matches!(was, ReleasedByWord | ReleasedOnAbsence | ReleasedTwice);
    match state {
        State::Queued => released || matches!(was, Unsent | TurnedAway),
        State::Submitting | State::InDoubt => matches!(was, Reserved | ReleasedAndReserved),
        State::Ordered => matches!(was, Charged | ChargedTwice | ChargedAndPresumed),
        State::OrderedNoId => matches!(was, Presumed | ChargedUnnamed | ReleasedOnce | TurnedAway),
        State::Held => !matches!(was, Unsent),
        State::Completed | State::Rejected => {
            matches!(was, Charged | ChargedTwice | ChargedUnnamed | ChargedTwiceUnnamed | ChargedAndPresumed)
        }
        State::Refused => released || was == TurnedAway,
        State::OrderedElsewhere => was == TurnedAway,
        State::Cancelled => true,
    }
}

fn order(state: State, was: Was) -> ResultOrder {
    let (charges, presumed, reserved, inferred) = match was {
        Was::Unsent | Was::TurnedAway => (0, 0, 0, 0),
        Was::Charged | Was::ChargedUnnamed => (1, 0, 0, 0),
        Was::ChargedTwice | Was::ChargedTwiceUnnamed => (2, 0, 0, 0),
        Was::ChargedAndPresumed => (1, 1, 0, 0),
        Was::Presumed => (0, 1, 0, 0),
        Was::Reserved => (0, 0, 1, 0),
        Was::ReleasedByWord | Was::ReleasedOnAbsence | Was::ReleasedOnce => (0, 0, 0, 1),
        Was::ReleasedTwice => (0, 0, 0, 2),
        Was::ReleasedAndReserved => (0, 0, 1, 1),
    };
    let by_word = matches!(was, Was::ReleasedByWord | Was::ReleasedTwice | Was::ReleasedAndReserved);
    let named = matches!(was, Was::Charged | Was::ChargedTwice | Was::ChargedAndPresumed);
    ResultOrder {
        id: OrderId(7),
        imei: Imei::from_parts(35_000_000, 1),
        state,
        has_result: false,
        is_result_rejected: false,
        provider_id: named.then_some(ProviderOrderId(17)),
        code: matches!(state, State::Completed | State::Rejected | State::Refused).then(|| "Told".to_owned()),
        exported: None,
        charged: PRICE.checked_mul(u64::from(charges)).unwrap(),
        charges,
        charged_before: Money::ZERO,
        before_was_given_back: true,
        presumed: PRICE.checked_mul(presumed).unwrap(),
        reserved: PRICE.checked_mul(reserved).unwrap(),
        inferred,
        released: WhyReleased {
            by_word,
            who: by_word.then(|| "anna".to_owned()),
            on_absence: matches!(was, Was::ReleasedOnAbsence | Was::ReleasedTwice),
        },
        was_sent: was != Was::Unsent,
        retry_of: None,
        is_taken_for_ours: false,
        ordered_at: None,
        done_at: None,
        held_for: None,
        batch_name: "stock".into(),
        first_row: 3,
    }
}

fn row(link: Link, order: ResultOrder) -> ResultRow {
    ResultRow { row: 5, raw: Vec::new(), link, why_not: None, order: Some(order), earlier: None }
}

fn shown(row: &ResultRow) -> ResultCells {
    let header = Header {
        delimiter: b',',
        columns: vec!["imei".to_owned()],
        imei_column: 0,
        has_header: true,
        other_imei_columns: Vec::new(),
        width: 1,
    };
    cells(row, &header)
}

/// What an order keeps of it.
fn is_live(order: &ResultOrder) -> bool {
    let count = |money: Money| u32::try_from(money.micros() / PRICE.micros()).unwrap();
    let life = Order {
        state: order.state,
        charged: order.charges,
        presumed: count(order.presumed),
        unaccounted: count(order.reserved),
        inferred: order.inferred,
        has_result: order.has_result,
        ..Order::new(3)
    };
    life.is_live(false, false)
}

#[test]
fn every_end_with_everything_before_it_says_what_the_golden_table_says() {
    let mut table = String::new();
    for state in State::ALL {
        writeln!(table, "## {}", state.as_str()).unwrap();
        for was in ALL.into_iter().filter(|was| can_be(state, *was)) {
            let cells = shown(&row(Link::Own, order(state, was)));
            let cost = cells.cost.map_or_else(|| "-".to_owned(), |cost| cost.to_string());
            writeln!(table, "{was:?}: {}, {cost}. {}", cells.status, cells.note).unwrap();
        }
    }
    insta::assert_snapshot!("notes", table);
}

#[test]
fn no_note_says_more_than_is_known() {
    for state in State::ALL {
        for (was, link) in ALL.into_iter().flat_map(|was| Link::ALL.map(|link| (was, link))) {
            if !can_be(state, was) || link == Link::Invalid {
                continue;
            }
            let order = order(state, was);
            let note = shown(&row(link, order.clone())).note;
            let what = format!("{state:?}, {was:?}, {link:?}: {note}");
            let may_be_charged =
                order.presumed > Money::ZERO || order.reserved > Money::ZERO || order.inferred > 0;
            if order.was_sent {
                assert!(!note.contains("before it was sent") && !note.contains("Not sent"), "{what}");
            }
            if order.charges > 0 || may_be_charged {
                let claims = note.replace("nothing was paid as far as can be told", "");
                assert!(!claims.to_lowercase().contains("nothing was paid"), "{what}");
            }
            if order.charges == 0 {
                assert!(!note.contains("after it was paid") && !note.contains("and paid"), "{what}");
                assert!(!note.starts_with("Paid"), "{what}");
            }
            assert!(!note.contains("drop it again") || !is_live(&order), "{what}");
            let is_answered = matches!(state, State::Completed | State::Rejected);
            assert!(!note.contains("Answered") || is_answered, "{what}");
            let no_file_orders_it = state == State::Cancelled && is_live(&order) && link != Link::Left;
            let says_so = note.contains("not ordered again") || note.contains("no file orders it again");
            assert_eq!(says_so, no_file_orders_it, "{what}");
            if order.inferred > 0 && no_file_orders_it && order.reserved == Money::ZERO {
                let why = ["by anna's word", "the provider's listing didn't have it", "takes an IMEI once"];
                assert!(why.iter().any(|why| note.contains(why)) && note.contains("imeid retry"), "{what}");
            }
        }
    }
}

#[test]
fn a_rejection_that_an_export_tells_of_ends_as_rejected() {
    let exported = |rejected: bool, code: &str| {
        let mut order = order(State::OrderedElsewhere, Was::TurnedAway);
        (order.has_result, order.is_result_rejected) = (true, rejected);
        order.code = Some(code.to_owned());
        order.exported = Some(Box::new(ExportedCells { rejected, ..ExportedCells::default() }));
        shown(&row(Link::Earlier, order))
    };
    let given_back = exported(true, "Not found");
    assert_eq!((given_back.status, given_back.code.as_str()), (RowStatus::Rejected, "Not found"));
    assert_eq!(given_back.cost, Some(Money::ZERO));
    assert!(
        given_back.note.ends_with("The provider gave it back: its reason is in imeid_code."),
        "{}",
        given_back.note
    );
    let without = exported(true, "");
    assert_eq!((without.status, without.code.as_str()), (RowStatus::Rejected, ""));
    assert!(without.note.ends_with("The provider gave it back and told no reason."), "{}", without.note);
    assert_eq!(exported(false, "Carrier: A").status, RowStatus::Duplicate);
}

#[test]
fn a_duplicate_of_an_order_without_an_answer_promises_none() {
    for (state, was, answered) in [
        (State::Completed, Was::Charged, true),
        (State::Rejected, Was::Charged, false),
        (State::Ordered, Was::Charged, false),
        (State::Cancelled, Was::Charged, false),
    ] {
        let mut row = row(Link::Own, order(State::OrderedElsewhere, Was::TurnedAway));
        row.earlier = Some(Box::new(ResultOrder { batch_name: "first".into(), ..order(state, was) }));
        let cells = shown(&row);
        assert_eq!(cells.status, RowStatus::Duplicate);
        assert_eq!(cells.note.contains("Answered free from first row 3"), answered, "{}", cells.note);
    }
}

#[test]
fn one_made_anew_that_the_provider_doesnt_take_tells_of_the_one_that_it_gave_back() {
    let note = |file: &str, code: Option<&str>| {
        let mut row = row(Link::Own, order(State::OrderedElsewhere, Was::TurnedAway));
        let code = code.map(str::to_owned);
        let before = ResultOrder { batch_name: file.into(), code, ..order(State::Rejected, Was::Charged) };
        row.earlier = Some(Box::new(before));
        shown(&row).note
    };
    let anew = "The provider doesn't take it anew: it has it from";
    for (file, code, told) in [
        (
            "stock",
            Some("Told"),
            "an earlier order of this row, and gave that one back: its reason is in imeid_code",
        ),
        ("first", None, "first row 3, and gave that one back: it told no reason"),
    ] {
        assert_eq!(note(file, code), format!("{anew} {told}, and the price is due back from it."));
    }
}

#[test]
fn what_was_given_back_before_is_told_as_that_and_nothing_else() {
    let anew = |given_back: bool| {
        let mut order = order(State::Completed, Was::Charged);
        (order.charged_before, order.before_was_given_back) = (PRICE, given_back);
        order.ordered_at = Some(Timestamp::from_millis(0));
        shown(&row(Link::Own, order))
    };
    assert_eq!(anew(true).cost, PRICE.checked_mul(2));
    assert!(
        anew(true).note.contains("0.08 of the cost was for the order before, which the provider gave back.")
    );
    assert!(anew(false).note.contains("0.08 of the cost was for the order before."));
}

#[test]
fn what_was_charged_before_is_in_the_cost_where_it_is_not_known_whether_the_new_order_was() {
    for state in [State::InDoubt, State::Held, State::Cancelled] {
        let order = ResultOrder { charged_before: PRICE, ..order(state, Was::Reserved) };
        let cells = shown(&row(Link::Own, order));
        assert_eq!(cells.cost, Some(PRICE), "{state:?}");
        assert!(cells.note.contains("0.08 of the cost was for the order before"), "{}", cells.note);
    }
}

#[test]
fn a_doubt_that_waits_says_for_what_and_what_a_person_can_do() {
    let order = ResultOrder {
        held_for: Some("no finished order is in it".to_owned()),
        ..order(State::InDoubt, Was::Reserved)
    };
    let note = shown(&row(Link::Own, order)).note;
    for part in ["It waits: no finished order is in it.", "reconcile/", "imeid resolve"] {
        assert!(note.contains(part), "{note}");
    }
}

#[test]
fn what_an_older_copy_takes_for_ours_is_told_as_that_by_the_rows_that_show_it() {
    for (link, state, begins) in [
        (Link::Earlier, State::Completed, "Answered free from an order of no file here. The journal is"),
        (Link::Earlier, State::Rejected, "Answered free from an order of no file here."),
        (Link::Earlier, State::Cancelled, "Not ordered anew: an order of no file here is there."),
        (Link::Joined, State::OrderedNoId, "same as an order of no file here. Paid as"),
    ] {
        let known = ResultOrder { is_taken_for_ours: true, ..order(state, Was::ChargedUnnamed) };
        let of_no_file = ResultOrder { batch_name: "".into(), first_row: 0, ..known };
        let note = shown(&row(link, of_no_file)).note;
        assert!(note.starts_with(begins), "{note}");
        let end = "0.08 is booked as charged, in the cost of no row, but a person may have ordered it.";
        assert!(note.ends_with(end), "{note}");
    }
    let adopted = ResultOrder { is_taken_for_ours: true, ..order(State::OrderedNoId, Was::ChargedUnnamed) };
    let note = shown(&row(Link::Own, adopted)).note;
    assert!(note.ends_with("0.08 is booked as charged, but a person may have ordered it."), "{note}");
}
