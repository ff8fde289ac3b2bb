//! Colours, or none.

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Added.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Removed, failed.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Changed.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Places.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Asides.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }
}
