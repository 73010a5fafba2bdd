//! The provider's own export, as a person saves it from its website and drops it into `reconcile/`.

use std::fmt::Write as _;
use std::fs;

use imeid::inbox;
use imeid::simulator::OrderLine;
use imeid::types::{Imei, Timestamp};

use super::files::SERVICES;
use super::{World, points};

impl World {
    /// Someone drops what the provider tells of every order now.
    pub(crate) fn drop_export(&mut self) {
        self.drop_export_of(|_| true);
    }

    /// Likewise, when these IMEIs' orders were given back meanwhile.
    pub(crate) fn drop_export_that_gives_back(&mut self, imeis: &[Imei]) {
        self.export(|_| true, imeis);
    }

    /// Someone drops what the provider tells of these orders now. Its dates are in the provider's own time zone.
    pub(crate) fn drop_export_of(&mut self, is_in: impl FnMut(&OrderLine) -> bool) {
        self.export(is_in, &[]);
    }

    fn export(&mut self, is_in: impl FnMut(&OrderLine) -> bool, given_back: &[Imei]) {
        let mut text = "SERVICE,IMEI NO.,CREDITS,STATUS,CODE,ORDER DATE,NOTES\r\n".to_owned();
        let ahead = i64::from(self.provider.zone_minutes) * 60_000;
        let mut orders = self.wire.orders();
        orders.retain(is_in);
        for order in &orders {
            let service = SERVICES.iter().find(|service| service.network_id == order.network_id.0).unwrap();
            let date = Timestamp::from_millis(order.charged_at.millis() + ahead).to_string();
            let date = date.replace(['T', 'Z'], " ");
            let (title, imei) = (service.title, order.imei);
            let status = if given_back.contains(&imei) { "Rejected" } else { order.status.as_str() };
            let _ = write!(text, "{title},{imei},$0.08,{status},\"Model: {imei}\",{},\r\n", date.trim());
        }
        let folder = self.root().join("reconcile");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("export {}.csv", self.exports.len() + 1));
        fs::write(&path, &text).unwrap();
        points::dropped(&folder);
        self.note(format!("dropped an export of {} orders", orders.len()));
        self.exports.push((path, text));
    }

    /// Whether every export that was dropped was read to its end, and has left the folder.
    pub(crate) fn are_exports_read(&self) -> bool {
        let view = &self.life.as_ref().unwrap().view;
        let read: i64 = view.query_row("SELECT count(*) FROM exports", [], |row| row.get(0)).unwrap();
        let taken = inbox::list_taken(&self.root().join("reconcile")).unwrap();
        usize::try_from(read).is_ok_and(|read| read >= self.exports.len()) && taken.is_empty()
    }

    /// How many exports were dropped.
    pub(crate) fn exports(&self) -> usize {
        self.exports.len()
    }
}
