//! The process and its surroundings: memory, cores, files.

use tidegate_config::{Config, Idle};

use super::machine::{Folder, Machine, SocketPath, folder_of};
use super::report::Report;

/// Bytes of one connection: what the design allows an idle one, everything counted.
const FLOW_BYTES: u64 = 512;

/// Bytes of a frame at most.
const FRAME_BYTES: u64 = 4096;

/// What is taken at the start can be had.
pub(super) fn check_memory(config: &Config, machine: &Machine, report: &mut Report) {
    let workers = &config.workers;
    let flows = u64::from(workers.flows_max) * FLOW_BYTES;
    let frames: u64 = config
        .ports
        .iter()
        .map(|port| u64::from(port.frames) * FRAME_BYTES)
        .sum();
    let needed = flows + workers.text_memory + frames;
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let shown = mebibytes(needed);
    match machine.memory_available {
        Some(available) if available < needed => {
            let sentence = format!(
                "{shown} MiB are needed at the most, and {} MiB are free",
                mebibytes(available)
            );
            let mend = "lower `text_memory` or `flows_max` in [workers], or `frames` in [[port]]";
            report.missing(sentence, mend);
        }
        _ => report.ok(format!(
            "{shown} MiB at the most: {} for connections, {} for text, {} for frames",
            mebibytes(flows),
            mebibytes(workers.text_memory),
            mebibytes(frames)
        )),
    }
}

/// The cores that workers are pinned to exist and may be used, and a spinning worker has one.
pub(super) fn check_cores(config: &Config, machine: &Machine, report: &mut Report) {
    let workers = &config.workers;
    let list: Vec<String> = machine.cores.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    let wanted = workers.cores.as_deref().unwrap_or_default();
    let mut in_order = true;
    for core in wanted.iter().filter(|core| !machine.cores.contains(core)) {
        in_order = false;
        let sentence = format!("core {core} is not there for this process; there are {list}");
        report.missing(sentence, format!("cores = [..] in [workers] out of {list}"));
    }
    let few = machine.cores.len() <= usize::try_from(workers.count).unwrap_or(usize::MAX);
    if workers.idle == Idle::Spin && few {
        in_order = false;
        let sentence = "a spinning worker takes the only core, and nothing else gets to run";
        report.differs(sentence, "idle = \"adaptive\" in [workers]");
    } else if workers.idle == Idle::Spin && workers.cores.is_none() {
        in_order = false;
        let sentence = "a spinning worker that is not pinned takes turns with whatever else runs";
        report.differs(
            sentence,
            "cores = [1] in [workers], with a core that nothing else uses",
        );
    }
    if in_order {
        match wanted {
            [] => report.ok(format!("workers run on any of {list}")),
            wanted => report.ok(format!("workers are pinned to {wanted:?}")),
        }
    }
}

/// The admin socket and the pcap files can be made.
pub(super) fn check_files(config: &Config, machine: &Machine, report: &mut Report) {
    let socket = &config.admin.socket;
    let shown = socket.display();
    match machine.socket {
        SocketPath::Answering => {
            let sentence = format!("{shown}: another Tidegate runs and answers there");
            report.missing(sentence, "end it, or choose another `socket` in [admin]");
        }
        SocketPath::Other => {
            let sentence = format!("{shown}: something stands there that is no socket");
            report.missing(
                sentence,
                format!("rm {shown}, or choose another `socket` in [admin]"),
            );
        }
        SocketPath::Free => check_folder(socket, true, machine, report),
    }
    for pcap in config.ports.iter().filter_map(|port| port.pcap.as_deref()) {
        check_folder(pcap, false, machine, report);
    }
}

/// A file can be made in its folder. `is_made`: Tidegate makes the folder if it is missing.
fn check_folder(file: &std::path::Path, is_made: bool, machine: &Machine, report: &mut Report) {
    let folder = folder_of(file);
    let shown = file.display();
    match machine.folders.get(&folder) {
        Some(Folder::CanBeMade) if !is_made => {
            let sentence = format!("{shown}: the folder is missing");
            report.missing(sentence, format!("mkdir -p {}", folder.display()));
        }
        Some(Folder::Forbidden(above)) => {
            let above = above.display();
            let sentence = format!("{shown}: this user may make nothing in {above}");
            let made = folder.display();
            let mend = format!("sudo install -d -o \"$USER\" {made}");
            report.missing(sentence, mend);
        }
        Some(Folder::Occupied(above)) => {
            let sentence = format!("{shown}: {} is no folder", above.display());
            report.missing(sentence, "choose another path in the configuration");
        }
        Some(Folder::CanBeMade) => {
            report.ok(format!("{shown}: can be made, with its folder"));
        }
        Some(Folder::Writable) | None => report.ok(format!("{shown}: can be made")),
    }
}
