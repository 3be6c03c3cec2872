//! Who owns which block of the KV cache. Knows no bytes; each backend has its own layout inside a block.

pub mod block_pool;
pub mod block_table;

pub use block_pool::BlockPool;
pub use block_table::BlockTable;
