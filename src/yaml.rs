//! YAML in and out, in one place.
