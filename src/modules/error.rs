//! What is wrong in a module: which file, which resource of it, which field, and what to do.

/// One finding about a module. `Display` is one line; [`ModuleError::help`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleError {
    /// File relative to the directory of modules: `nginx/module.yaml`.
    pub file: String,
    /// Which resource of it, from 1; `None`: the file as a whole.
    pub resource: Option<usize>,
    /// Field of the resource or place in the file, `inputs_of[0]`; empty when it is not about one.
    pub field: String,
    /// One line, lower case, no full stop.
    pub message: String,
    /// What to write or do instead.
    pub help: Option<String>,
}

impl ModuleError {
    /// About a file as a whole.
    pub fn file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), resource: None, field: String::new(), message: message.into(), help: None }
    }

    /// Adds what to write or do instead.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to write or do instead, if there is more to say than the line itself.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl std::fmt::Display for ModuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "module file {}", self.file)?;
        if let Some(index) = self.resource {
            write!(f, ", resource {index}")?;
        }
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ModuleError {}
