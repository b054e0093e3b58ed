//! TCP without I/O, in the layout of RFC 9293 section 3.10.
