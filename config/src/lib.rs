//! The TOML configuration of a Tidegate service: schema, validation, defaults.
