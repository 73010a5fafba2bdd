//! What a finished order's `<code>` holds, in every shape that has been seen; which one hangs on the IMEI alone.
//!
//! The text is made as HTML first. It then stands in the XML as it is (so `<br>` has no end tag there and an `&` may
//! stand alone), or escaped.

use fastrand::Rng;
use serde::Serialize;

use super::{keyed, xml};
use crate::types::Imei;

/// What kind of text a service's finished orders hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodeKind {
    /// A check's fields, labelled.
    #[default]
    Check,
    /// An unlock code.
    Unlock,
    /// A sentence or two.
    Prose,
}

/// What a check finds out about a device: the truth behind whatever shape the answer has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// `Model`.
    pub model: String,
    /// `Serial Number`.
    pub serial: String,
    /// `IMEI2 Number`.
    pub imei2: String,
    /// `Carrier`.
    pub carrier: String,
    /// `SimLock`, also labelled `SIM Lock`.
    pub simlock: String,
    /// `Find My iPhone`: `ON` or `OFF`.
    pub fmi: String,
    /// `Current GSMA Status`.
    pub gsma: String,
    /// `Estimated Purchase Date`, day first.
    pub purchased: String,
}

const MODELS: [&str; 6] = [
    "iPhone 16 Pro Desert Titanium 128GB",
    "iPhone 12, 64GB \"Product RED\"",
    "iPhone 13 mini 256GB Starlight",
    "iPhone SE (2nd generation) 64GB",
    "iPhone 15 Pro Max 512GB Bleu Titané",
    "iPhone XR 128GB",
];
const CARRIERS: [&str; 6] =
    ["Unlocked", "AT&T", "T-Mobile USA", "O2 UK, \"Simply\"", "Télé2 Länder", "Verizon <Flex>"];
const REASONS: [&str; 4] = [
    "IMEI not found in the manufacturer's database",
    "Wrong IMEI, please check it & try again",
    "Rejected: not an iPhone",
    "The service is not available for this model",
];

/// The facts about this device, the same whenever they are asked for.
pub(super) fn facts(seed: u64, imei: Imei) -> Facts {
    let mut rng = keyed::rng(seed, &[imei.as_u64(), 1]);
    let carrier = one_of(&CARRIERS, &mut rng);
    Facts {
        model: one_of(&MODELS, &mut rng).to_owned(),
        serial: (0..10).map(|_| rng.alphanumeric().to_ascii_uppercase()).collect(),
        imei2: Imei::from_parts(35_900_000 + rng.u32(0..1000), rng.u32(0..1_000_000)).to_string(),
        simlock: if carrier == "Unlocked" || rng.u8(0..4) == 0 { "Unlocked" } else { "Locked" }.to_owned(),
        carrier: carrier.to_owned(),
        fmi: if rng.u8(0..5) == 0 { "ON" } else { "OFF" }.to_owned(),
        gsma: if rng.u8(0..20) == 0 { "Blacklisted" } else { "Clean" }.to_owned(),
        purchased: format!("{:02}/{:02}/{}", rng.u8(1..29), rng.u8(1..13), rng.u8(18..26)),
    }
}

/// What stands between `<code>` and `</code>` for a completed order.
pub(super) fn completed(seed: u64, imei: Imei, kind: CodeKind) -> String {
    match kind {
        CodeKind::Check => check(&facts(seed, imei), imei, &Shape::of(seed, imei)),
        CodeKind::Unlock => {
            format!("NCK: {:08}", keyed::rng(seed, &[imei.as_u64(), 3]).u32(0..100_000_000))
        }
        CodeKind::Prose => {
            "The device has been <b>unlocked</b>.\nPut in another SIM &amp; connect to Wi-Fi, \
                            then restart it 🎉"
                .to_owned()
        }
    }
}

/// What stands between `<code>` and `</code>` for a rejected order: the reason.
pub(super) fn rejected(seed: u64, imei: Imei) -> String {
    xml::escape(one_of(&REASONS, &mut keyed::rng(seed, &[imei.as_u64(), 4])))
}

/// How one answer is dressed.
struct Shape {
    separator: &'static str,
    sim_lock: &'static str,
    bold_labels: bool,
    coloured_values: bool,
    no_break_space: bool,
    lone_ampersand: bool,
    emoji: bool,
    escaped: bool,
}

impl Shape {
    fn of(seed: u64, imei: Imei) -> Self {
        let mut rng = keyed::rng(seed, &[imei.as_u64(), 2]);
        Self {
            separator: one_of(&[" - ", " - ", "<br>", "<br />\n", "&lt;br&gt;"], &mut rng),
            sim_lock: one_of(&["SimLock", "SIM Lock"], &mut rng),
            bold_labels: rng.u8(0..4) == 0,
            coloured_values: rng.u8(0..4) == 0,
            no_break_space: rng.u8(0..8) == 0,
            lone_ampersand: rng.u8(0..8) == 0,
            emoji: rng.u8(0..8) == 0,
            escaped: rng.bool(),
        }
    }
}

fn check(facts: &Facts, imei: Imei, shape: &Shape) -> String {
    let imei = imei.to_string();
    let fields = [
        ("Model", facts.model.as_str()),
        ("IMEI Number", &imei),
        ("Serial Number", &facts.serial),
        ("IMEI2 Number", &facts.imei2),
        ("MEID Number", imei.get(..14).unwrap_or_default()),
        ("AppleCare Eligible", "OFF"),
        ("Estimated Purchase Date", &facts.purchased),
        ("Carrier", &facts.carrier),
        ("Next Tether Policy", "10"),
        ("Current GSMA Status", &facts.gsma),
        ("Find My iPhone", &facts.fmi),
        (shape.sim_lock, &facts.simlock),
    ];
    let html = fields.map(|(label, value)| field(label, value, shape)).join(shape.separator);
    let html = if shape.emoji { format!("📱 {html}{}✅ Done", shape.separator) } else { html };
    if shape.escaped { xml::escape(&html) } else { html }
}

fn field(label: &str, value: &str, shape: &Shape) -> String {
    let value = match (shape.lone_ampersand, value) {
        (true, "AT&T") => value.to_owned(),
        _ => xml::escape(value),
    };
    let colon = if shape.no_break_space { ":&nbsp;" } else { ": " };
    let label = if shape.bold_labels { format!("<b>{label}{colon}</b>") } else { format!("{label}{colon}") };
    if shape.coloured_values {
        format!("{label}<span style=\"color:green\">{value}</span>")
    } else {
        label + &value
    }
}

fn one_of<'a>(choices: &[&'a str], rng: &mut Rng) -> &'a str {
    choices.get(rng.usize(0..choices.len().max(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Vec<String> {
        (0..2_000).map(|n| completed(1, Imei::from_parts(35_000_000, n), CodeKind::Check)).collect()
    }

    #[test]
    fn every_shape_that_was_seen_occurs() {
        let codes = codes();
        for part in [
            " - Carrier: ",
            "<br>Carrier",
            "&lt;br&gt;Carrier",
            "&amp;lt;br&amp;gt;Carrier",
            "<b>",
            "&lt;b&gt;",
            "<span ",
            "SimLock",
            "SIM Lock",
            "&nbsp;",
            "AT&T",
            "AT&amp;T",
            "📱",
            "\n",
            "&quot;",
        ] {
            assert!(codes.iter().any(|code| code.contains(part)), "{part}");
        }
    }

    #[test]
    fn a_device_has_the_same_code_whenever_it_is_asked_for() {
        assert_eq!(codes(), codes());
    }

    #[test]
    fn an_unlocked_carrier_has_no_sim_lock() {
        for n in 0..500 {
            let facts = facts(1, Imei::from_parts(35_000_000, n));
            assert!(facts.carrier != "Unlocked" || facts.simlock == "Unlocked");
        }
    }
}
