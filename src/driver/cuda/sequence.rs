//! A fixed sequence of launches as a CUDA graph, built node by node from what is to run, not captured from a warm-up.

use std::ffi::c_void;

use cudarc::driver::sys;

use super::call::check;
use crate::driver::{Launch, Result};

/// Pointers to each parameter inside `launch.args.bytes`, as the driver wants them.
pub(super) fn params(launch: &Launch) -> Vec<*mut c_void> {
    let bytes = launch.args.bytes.as_ptr();
    let at = |&offset: &u32| {
        // `offset` is inside `bytes`: `Args` wrote both. The driver only reads.
        bytes
            .wrapping_add(offset as usize)
            .cast_mut()
            .cast::<c_void>()
    };
    launch.args.offsets.iter().map(at).collect()
}

/// An instantiated graph.
#[derive(Debug)]
pub(super) struct Sequence {
    graph: sys::CUgraph,
    exec: sys::CUgraphExec,
}

impl Sequence {
    /// Builds and instantiates a chain of kernel nodes.
    pub(super) fn new(launches: &[(sys::CUfunction, &Launch)]) -> Result<Sequence> {
        let mut sequence = Sequence {
            graph: std::ptr::null_mut(),
            exec: std::ptr::null_mut(),
        };
        // SAFETY: the pointer is valid for one handle; flags must be 0.
        check("cuGraphCreate", unsafe {
            sys::cuGraphCreate(&mut sequence.graph, 0)
        })?;
        let mut previous: Option<sys::CUgraphNode> = None;
        for (function, launch) in launches {
            previous = Some(sequence.add(*function, launch, previous)?);
        }
        // SAFETY: the graph is ours and complete.
        check("cuGraphInstantiateWithFlags", unsafe {
            sys::cuGraphInstantiateWithFlags(&mut sequence.exec, sequence.graph, 0)
        })?;
        Ok(sequence)
    }

    fn add(
        &self,
        function: sys::CUfunction,
        launch: &Launch,
        previous: Option<sys::CUgraphNode>,
    ) -> Result<sys::CUgraphNode> {
        let mut pointers = params(launch);
        let [grid, block] = [launch.geometry.grid, launch.geometry.block];
        let node_params = sys::CUDA_KERNEL_NODE_PARAMS_v2_st {
            func: function,
            gridDimX: grid[0],
            gridDimY: grid[1],
            gridDimZ: grid[2],
            blockDimX: block[0],
            blockDimY: block[1],
            blockDimZ: block[2],
            sharedMemBytes: launch.geometry.shared_bytes,
            kernelParams: pointers.as_mut_ptr(),
            extra: std::ptr::null_mut(),
            kern: std::ptr::null_mut(),
            ctx: std::ptr::null_mut(),
        };
        let mut node = std::ptr::null_mut();
        let dependencies: &[sys::CUgraphNode] = previous.as_slice();
        // SAFETY: the driver copies the parameters and their values before it returns; `pointers` and `launch` live
        // until then, and `dependencies` holds nodes of this graph.
        check("cuGraphAddKernelNode_v2", unsafe {
            sys::cuGraphAddKernelNode_v2(
                &mut node,
                self.graph,
                dependencies.as_ptr(),
                dependencies.len(),
                &node_params,
            )
        })?;
        Ok(node)
    }

    /// Queues the whole sequence.
    pub(super) fn launch(&self, stream: sys::CUstream) -> Result<()> {
        // SAFETY: both handles are alive.
        check("cuGraphLaunch", unsafe {
            sys::cuGraphLaunch(self.exec, stream)
        })
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        // A failure here leaves nothing to do: the context is going away with it.
        // SAFETY: each handle is ours and destroyed once; null means that it was never made.
        unsafe {
            if !self.exec.is_null() {
                sys::cuGraphExecDestroy(self.exec);
            }
            if !self.graph.is_null() {
                sys::cuGraphDestroy(self.graph);
            }
        }
    }
}
