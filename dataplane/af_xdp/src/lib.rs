//! AF_XDP sockets for Linux: UMEM with linear frames, the four rings, XDP program loading.
