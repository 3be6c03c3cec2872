//! Where programs keep what they can make again.

use std::env;
use std::path::PathBuf;

/// `QWARP_CACHE_DIR`, else `qwarp` in `XDG_CACHE_HOME`, else `.cache/qwarp` in `HOME`; none where none of them is set.
pub fn cache_dir() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = env::var_os(name).filter(|value| !value.is_empty());
        path.map(PathBuf::from)
    };
    folder("QWARP_CACHE_DIR")
        .or_else(|| {
            // The XDG specification has relative paths ignored.
            let base = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute());
            base.map(|base| base.join("qwarp"))
        })
        .or_else(|| folder("HOME").map(|home| home.join(".cache").join("qwarp")))
}
