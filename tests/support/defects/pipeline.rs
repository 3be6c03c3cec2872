//! Kinds of defects of tensor-core code: fragments, their loads from shared memory, and the copies in the background that fill
//! it.

use super::mutators::{dropped, has, integer, is, with_operand};
use super::site::{Site, Statement};

/// The members of a vector operand.
fn members(site: &Site<'_>, index: usize) -> Option<Vec<String>> {
    let text = site.statement.operands.get(index)?;
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    Some(inside.split(',').map(|m| m.trim().to_string()).collect())
}

/// The statement with two members of a vector operand in each other's place.
fn swapped(site: &Site<'_>, index: usize, a: usize, b: usize) -> Option<String> {
    let mut members = members(site, index)?;
    if members.get(a)? == members.get(b)? {
        return None;
    }
    members.swap(a, b);
    with_operand(site, index, format!("{{{}}}", members.join(", ")))
}

/// One group more may still be under way.
pub fn wait_for_fewer(site: &Site<'_>) -> Option<String> {
    let open = integer(site, 0).filter(|_| is(site, &["cp"]) && has(site, "wait_group"))?;
    with_operand(site, 0, (open + 1).to_string())
}

/// A copy that fills up with zeros reads all its bytes instead; where it always reads all, there is nothing to drop.
pub fn drop_zero_fill(site: &Site<'_>) -> Option<String> {
    let bytes = site.statement.operands.get(3)?;
    let fills = integer(site, 3).is_none() && !site.constants.contains_key(bytes);
    let mut statement = site.statement.clone();
    statement.operands.truncate(3);
    (is(site, &["cp"]) && has(site, "async") && fills).then(|| statement.text())
}

/// A background copy that is not made.
pub fn drop_copy(site: &Site<'_>) -> Option<String> {
    let copies = site.statement.operands.len() >= 3;
    dropped(is(site, &["cp"]) && has(site, "async") && copies)
}

/// The lanes of a warp do not wait for each other.
pub fn drop_warp_barrier(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["bar"]) && has(site, "warp"))
}

/// The left factor's lower rows for the upper half of k.
pub fn swap_left(site: &Site<'_>) -> Option<String> {
    is(site, &["mma"]).then(|| swapped(site, 1, 1, 2))?
}

/// The halves of k of the right factor.
pub fn swap_right(site: &Site<'_>) -> Option<String> {
    is(site, &["mma"]).then(|| swapped(site, 2, 0, 1))?
}

/// A product that is not added.
pub fn drop_product(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["mma"]))
}

/// Matrices of a load in another order.
pub fn swap_matrices(site: &Site<'_>) -> Option<String> {
    is(site, &["ldmatrix"]).then(|| swapped(site, 0, 1, 2))?
}

/// Matrices transposed, or no longer.
pub fn transpose(site: &Site<'_>) -> Option<String> {
    if !is(site, &["ldmatrix"]) {
        return None;
    }
    let opcode = &site.statement.opcode;
    let opcode = match opcode.replacen(".trans", "", 1) {
        plain if plain == *opcode => opcode.replacen(".shared", ".trans.shared", 1),
        plain => plain,
    };
    let statement = Statement {
        opcode,
        ..site.statement.clone()
    };
    Some(statement.text())
}
