//! Bytes that wait to be written to a command's stdin.
//!
//! One contiguous buffer: libssh2 wants the same bytes again, at least as many, after it has blocked.

/// A first-in first-out queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    /// Adds at the end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // Moving the rest down only when at least half is gone keeps the whole cost linear.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// All that waits, in order.
    pub(super) fn front(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes `count` bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Throws everything away, and the memory with it. Secrets pass through here, so zeros are left behind.
    pub(super) fn clear(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.bytes);
        self.bytes = Vec::new();
        self.start = 0;
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}
