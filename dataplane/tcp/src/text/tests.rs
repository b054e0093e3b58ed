//! Text queues against a plain vector.
