//! One line for a packet, as `tcpdump -n` prints it.
