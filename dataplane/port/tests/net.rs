//! The drivers against the Linux kernel, on virtual interfaces in network namespaces made for each
//! test. They need root; without it they say so and pass, unless `TIDEGATE_REQUIRE_NET` is set.

mod net {
    mod af_packet;
    mod af_xdp;
    mod auto;
    mod host;
    mod peer;
    mod responder;
    mod space;
    mod tap;
    mod wrappers;
}
