//! How much of an IMEI a log line shows.

use std::sync::atomic::{AtomicBool, Ordering};

use super::LogImei;
use crate::types::Imei;

static LAST4_ONLY: AtomicBool = AtomicBool::new(false);

/// From now on, for the whole process, [`log_imei`] shows this much.
pub fn set_log_imei(imei: LogImei) {
    LAST4_ONLY.store(imei == LogImei::Last4, Ordering::Relaxed);
}

/// An IMEI as log lines show it: all digits, or the last four with `imei = "last4"` in `[log]`. For log lines only:
/// results, reports and commands show all of it.
#[must_use]
pub fn log_imei(imei: Imei) -> String {
    if LAST4_ONLY.load(Ordering::Relaxed) { imei.redacted() } else { imei.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_shows_what_the_config_says() {
        let imei = Imei::from_parts(35_547_349, 605_456);
        assert_eq!(log_imei(imei), imei.to_string());
        set_log_imei(LogImei::Last4);
        assert_eq!(log_imei(imei), imei.redacted());
        set_log_imei(LogImei::Full);
        assert_eq!(log_imei(imei), imei.to_string());
    }
}
