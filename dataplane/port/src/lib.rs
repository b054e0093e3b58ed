//! Ports: where frames come from and go to.
