//! The provider's own export, as a person saves it from its website and drops it into `reconcile/`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use imeid::types::Imei;

use super::files::SERVICES;
use super::{World, points};

/// Its dates are in a time zone of its own: three hours ahead.
const ZONE: Duration = Duration::from_secs(3 * 3_600);

impl World {
    /// Someone drops what the provider tells of every order now.
    pub(crate) fn drop_export(&mut self) {
        self.drop_export_of(None);
    }

    /// Likewise, when this IMEI's order was given back meanwhile.
    pub(crate) fn drop_export_that_gives_back(&mut self, imei: Imei) {
        self.drop_export_of(Some(imei));
    }

    fn drop_export_of(&mut self, given_back: Option<Imei>) {
        let mut text = "SERVICE,IMEI NO.,CREDITS,STATUS,CODE,ORDER DATE,NOTES\r\n".to_owned();
        for order in self.wire.orders() {
            let service = SERVICES.iter().find(|service| service.network_id == order.network_id.0).unwrap();
            let date = order.charged_at.plus(ZONE).to_string().replace(['T', 'Z'], " ");
            let (title, imei) = (service.title, order.imei);
            let status = if given_back == Some(imei) { "Rejected" } else { order.status.as_str() };
            let _ = write!(text, "{title},{imei},$0.08,{status},\"Model: {imei}\",{},\r\n", date.trim());
        }
        let folder = self.root().join("reconcile");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("export {}.csv", self.exports.len() + 1));
        fs::write(&path, &text).unwrap();
        points::dropped(&folder);
        self.note(format!("dropped an export of {} orders", text.lines().count() - 1));
        self.exports.push((path, text));
    }

    /// Whether every export that was dropped lies in the archive.
    pub(crate) fn are_exports_read(&self) -> bool {
        let view = &self.life.as_ref().unwrap().view;
        let done = "SELECT count(*) FROM exports WHERE done_at IS NOT NULL";
        let done: i64 = view.query_row(done, [], |row| row.get(0)).unwrap();
        usize::try_from(done).is_ok_and(|done| done >= self.exports.len())
    }

    /// How many exports were dropped.
    pub(crate) fn exports(&self) -> usize {
        self.exports.len()
    }
}
