//! TCP options: what was read is what is written and read again.

use tidegate_wire::TcpOptions;
use tidegate_wire::options::OPTIONS_LEN_MAX;

/// Reads the bytes as the options of a segment.
pub fn run(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(OPTIONS_LEN_MAX)];
    let options = TcpOptions::parse(bytes);
    let mut out = [0; OPTIONS_LEN_MAX];
    let len = options.emit(&mut out);
    assert_eq!((len, len % 4), (options.len(), 0), "{options:?}");
    // Nothing is lost in writing but SACK blocks for which there is no room.
    let again = TcpOptions::parse(&out[..len]);
    let sack = options.sack.as_slice();
    assert!(sack.starts_with(again.sack.as_slice()), "{options:?}");
    assert_eq!(
        TcpOptions {
            sack: options.sack,
            ..again
        },
        options
    );
}
