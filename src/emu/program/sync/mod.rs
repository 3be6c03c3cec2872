//! Decoding of what threads do together.

mod barrier;
mod product;
mod warp;

use super::decoded::Decoded;
use super::error::DecodeError;
use super::resolve::Resolver;
use crate::emu::ptx::Instruction;

/// Decodes a barrier, fence, warp-level or tensor-core instruction; `None` for other opcodes.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Option<Decoded>, DecodeError> {
    match at.parts[0].as_str() {
        "bar" | "barrier" => barrier::decode(at, names).map(Some),
        "membar" | "fence" => barrier::fence(at).map(Some),
        "shfl" => warp::shuffle(at, names).map(Some),
        "vote" => warp::vote(at, names).map(Some),
        "match" => warp::matches(at, names).map(Some),
        "redux" => warp::reduce(at, names).map(Some),
        "activemask" => warp::active_mask(at, names).map(Some),
        "mma" => product::decode(at, names).map(Some),
        _ => Ok(None),
    }
}
