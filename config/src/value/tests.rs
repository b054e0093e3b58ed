//! Tests: what each kind of value accepts, and what it says of the rest.
