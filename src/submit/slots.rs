//! The right to be on the wire: as many at once as the limit of the moment, which may change while they are.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    count: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    /// Slots that there are, free or taken.
    made: usize,
    /// Slots that there should be.
    wanted: usize,
}

/// One of them, until it is dropped.
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(0)), count: Mutex::default() }
    }

    /// So many from now on. Of those taken beyond that each goes when it comes free, whoever waits for one.
    pub(super) fn resize(&self, wanted: usize) {
        let Ok(mut count) = self.count.lock() else { return };
        count.wanted = wanted;
        if wanted > count.made {
            self.free.add_permits(wanted - count.made);
            count.made = wanted;
        } else {
            count.made -= self.free.forget_permits(count.made - wanted);
        }
    }

    /// There are none from now on, for those who wait either.
    pub(super) fn close(&self) {
        self.free.close();
    }

    /// Waits for a free one. `None`: they are closed.
    pub(super) async fn take(&self) -> Option<Slot<'_>> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Slot { slots: self, permit: Some(permit) })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let Ok(mut count) = self.slots.count.lock() else { return };
        if count.made > count.wanted
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            count.made -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_slot_too_many_goes_when_it_comes_free_though_others_wait_for_it() {
        let slots = Slots::new();
        slots.resize(2);
        let (first, second) = (slots.take().await.unwrap(), slots.take().await.unwrap());
        let mut third = pin!(slots.take());
        tokio::select! {
            biased;
            _ = &mut third => panic!("a third of two"),
            () = tokio::task::yield_now() => {}
        }
        slots.resize(1);
        drop(first);
        tokio::select! {
            biased;
            _ = &mut third => panic!("a second of one"),
            () = tokio::task::yield_now() => {}
        }
        drop(second);
        let third = third.await.unwrap();
        slots.resize(3);
        drop((third, slots.take().await.unwrap(), slots.take().await.unwrap()));
        assert_eq!(slots.free.available_permits(), 3);
        slots.resize(2);
        assert_eq!(slots.free.available_permits(), 2);
    }
}
