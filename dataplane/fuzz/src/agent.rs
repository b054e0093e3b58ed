//! Lines of the agent's control connection, as any client may write them.

use serde_json::Value;
use tidegate::agent::understand;

/// Reads the bytes as a control connection; what is refused is refused as the protocol has it.
pub fn run(bytes: &[u8]) {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    let understood = understand(bytes);
    assert_eq!(understood.len(), ends, "each line has one answer");
    for refusal in understood.iter().filter_map(|line| line.as_ref().err()) {
        assert!(!refusal.contains('\n'), "{refusal}");
        let object: Value = serde_json::from_str(refusal).expect("an answer is JSON");
        assert_eq!(object["ok"], Value::Bool(false), "{refusal}");
        let error = object["error"].as_str().expect("an errno has a name");
        assert!(error.starts_with('E'), "{refusal}");
    }
}
