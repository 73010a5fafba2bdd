//! Odd answers, and what is read from them, as a reviewed file: reading may become faster, and may not read otherwise.

use std::fmt::Write as _;

use super::fields;

const CODES: [&str; 72] = [
    " ",
    "\r\n\r\n",
    "\u{a0}Model:\u{a0}\u{a0}A\u{2003}B\u{3000}- Carrier:\tC",
    "Model: A\u{0}\u{7f}\u{85}B\u{1b}[1m - Carrier: C",
    "Model: A\u{1}Carrier: B",
    "Model: A\u{2028}Carrier: B\u{2029}C",
    "Model: A\rCarrier: B\r\r\nC",
    "\u{feff}Mo\u{ad}del\u{200b}: A\u{2060} \u{ad} B",
    "Model: A<br>\nstill A<br>Carrier: B\nstill B",
    "Model: A\nstill A\nCarrier: B",
    "Model: A <BR/> <hr> <p>Carrier: B</p></div>",
    "Model: A<td>B</td><th>C<img src='x'>D",
    "Mod<b>el</b>: A<i> </i>B<none>C<x-y>D<brr>E",
    "Model: A<b",
    "Model: A<b - Carrier: B>C",
    "Model: A<!-- - Carrier: B --> - SimLock: C<!-- never",
    "Model: A</ br>B<//br>C< br>D<>E",
    "Model: a<b>c<>d - 1 < 2 > 3",
    "&lt;b&gt;Model&lt;/b&gt;: A&lt;br&gt;Carrier: B",
    "&amp;lt;br&amp;gt;&amp;amp;lt;br&amp;amp;gt;",
    "Model: AT&amp;amp;amp;amp;amp;T",
    "Model: &nbsp;A&nbsp;&nbsp;B&ensp;C - Carrier:&nbsp;D",
    "&#77;odel&#58; A &#45; Carrier&colon; B",
    "&#x4D;odel&#x3a; A &#x2D; Carrier&#x3A; B",
    "Model: &#128; &#x99; &#0; &#xD800; &#1114112; &#-1; &#+1; &#x; &#;",
    "Model: &eacute;&Eacute;&yuml;&nosuch;&eacute &abcdefghij;&abcdefghijk;",
    "Model: &amp &amp; & && &;",
    "Model: A &ndash; Carrier: B &mdash; SimLock: C",
    "Model: A – Carrier: B — SimLock: C ‒ FMI: D",
    "Model: A- Carrier: B -SimLock: C",
    "Model: A - - Carrier: B - - ",
    "- Model: A - Carrier: B -",
    " - - : - : A",
    "Model: A -\nCarrier: B\n- SimLock: C",
    "Model: A - <br> - Carrier: B",
    "📱 Model: A - ✅ Carrier: B - • SimLock: C - ✅ Done",
    "•Model: A *Carrier: B · SimLock: C",
    "✅✅️ Model: A<br>✅️Carrier: B<br>✅",
    "SimLock: A – 🟢",
    "SimLock: A -✅ Done",
    "SimLock: A - ✅",
    "SimLock: - ✅",
    "SimLock:- ✅ Done",
    "MODEL: A - carrier: B - sImLoCk: C - fmi: D - IMEI 2: E",
    "Model Name: A - Carrier Name: B - SIM-Lock Status: C - Find My iPhone (FMI): D - IMEI2 No.: E",
    "F.M.I. Status: ON - IMEI Number 2: 2 - IMEI2: 3",
    "Model_Name: A - 'Carrier': B - Sim/Lock: C",
    "Mödel: A - CARRIER\u{301}: B - \u{212a}arrier: C - Ｍodel: D",
    "SIMLOC\u{212a}: A",
    "Σ: A - ΜΟΔΕΛ: B - İmei2: C",
    "Model : A - Carrier\t: B - SimLock\u{a0}: C",
    "Model:A - Carrier:B - SimLock::C",
    "Model: http://x.y/z - See https://a.b: Carrier: C",
    "Model: 12:30 - Try again at 12:30 - Carrier: 5",
    "Model: A - 2:B - 2:3 - Carrier: C",
    "Model: A - This is a label of seven words: B - Carrier: C",
    "Model: A - one two three four five: B - one two three four five six: C",
    "Model: A - 0123456789012345678901234567890123456789: B - Carrier: C",
    "Model: A - ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJ: B",
    "Model: A - ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJK: B",
    "Model: A - ÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄ: B",
    "Model: A - \u{10400}\u{10400}\u{10400}\u{10400}\u{10400}\u{10400}\u{10400}\u{10400}\u{10400}\u{10400}: B",
    "Model: A - a-b: B - c - d: C",
    "Model: A - a,b: B - c;d: C - \"e\": D - f\"g: E",
    "Model: A - : B -  : C",
    "Model: - - Carrier: -- - SimLock: –",
    "Model: A\u{2013}B - Carrier: C\u{2190}D",
    "Carrier: B - Carrier: C<br>Model: - Model: D",
    "Carrier: B - \nModel: A -",
    "NCK: 12345678",
    "Wrong IMEI, please check it &amp; try again",
    "The device has been <b>unlocked</b>.\nPut in another SIM &amp; connect to Wi-Fi, then restart it 🎉",
];

#[test]
fn odd_answers_are_read_as_they_always_were() {
    let mut shown = String::new();
    for code in CODES {
        let found = fields(code);
        let told = [&found.carrier, &found.simlock, &found.model, &found.fmi, &found.imei2];
        writeln!(
            shown,
            "{code:?}\n  {:?}\n  {:?}",
            found.code,
            told.map(|told| told.as_deref().unwrap_or("?"))
        )
        .unwrap();
    }
    insta::assert_snapshot!("codes", shown);
}
