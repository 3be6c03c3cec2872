//! A fixed sequence of launches as a CUDA graph, built node by node from what is to run, not captured from a warm-up.

use std::ffi::c_void;

use cudarc::driver::sys;

use super::call::check;
use crate::driver::{DriverError, Launch, Result};

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

fn node_params(
    function: sys::CUfunction,
    launch: &Launch,
    pointers: &mut [*mut c_void],
) -> sys::CUDA_KERNEL_NODE_PARAMS_v2_st {
    let [grid, block] = [launch.geometry.grid, launch.geometry.block];
    sys::CUDA_KERNEL_NODE_PARAMS_v2_st {
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
    }
}

/// Behind a node whose kernel has let the next one go: it may begin while the last CTAs of the one before run.
const OVERLAPPING: sys::CUgraphEdgeData = sys::CUgraphEdgeData {
    from_port: sys::CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC as u8,
    to_port: 0,
    type_: sys::CUgraphDependencyType::CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC as u8,
    reserved: [0; 5],
};

/// An instantiated graph.
#[derive(Debug)]
pub(super) struct Sequence {
    graph: sys::CUgraph,
    exec: sys::CUgraphExec,
    nodes: Vec<Node>,
}

/// A launch in a graph.
#[derive(Debug)]
struct Node {
    handle: sys::CUgraphNode,
    function: sys::CUfunction,
}

impl Sequence {
    /// Builds and instantiates a chain of kernel nodes; with `overlapping`, kernels that wait for the one before themselves.
    pub(super) fn new(
        launches: &[(sys::CUfunction, &Launch)],
        overlapping: bool,
    ) -> Result<Sequence> {
        let mut sequence = Sequence {
            graph: std::ptr::null_mut(),
            exec: std::ptr::null_mut(),
            nodes: Vec::with_capacity(launches.len()),
        };
        // SAFETY: the pointer is valid for one handle; flags must be 0.
        check("cuGraphCreate", unsafe {
            sys::cuGraphCreate(&mut sequence.graph, 0)
        })?;
        for (function, launch) in launches {
            sequence.add(*function, launch, overlapping)?;
        }
        // SAFETY: the graph is ours and complete.
        check("cuGraphInstantiateWithFlags", unsafe {
            sys::cuGraphInstantiateWithFlags(&mut sequence.exec, sequence.graph, 0)
        })?;
        Ok(sequence)
    }

    /// Adds a node behind the last.
    fn add(&mut self, function: sys::CUfunction, launch: &Launch, overlapping: bool) -> Result<()> {
        let mut pointers = params(launch);
        let node_params = node_params(function, launch, &mut pointers);
        let mut handle = std::ptr::null_mut();
        let previous = self.nodes.last().map(|node| node.handle);
        let whole = previous.filter(|_| !overlapping);
        let dependencies: &[sys::CUgraphNode] = whole.as_slice();
        // SAFETY: the driver copies the parameters and their values before it returns; `pointers` and `launch` live
        // until then, and `dependencies` holds nodes of this graph.
        check("cuGraphAddKernelNode_v2", unsafe {
            sys::cuGraphAddKernelNode_v2(
                &mut handle,
                self.graph,
                dependencies.as_ptr(),
                dependencies.len(),
                &node_params,
            )
        })?;
        self.nodes.push(Node { handle, function });
        match previous.filter(|_| overlapping) {
            // SAFETY: both nodes are of this graph, and each pointer is valid for one.
            Some(previous) => check("cuGraphAddDependencies_v2", unsafe {
                sys::cuGraphAddDependencies_v2(self.graph, &previous, &handle, &OVERLAPPING, 1)
            }),
            None => Ok(()),
        }
    }

    /// Puts another launch of the same kernel in a node's place; what is queued already runs as it was.
    pub(super) fn change(
        &mut self,
        index: usize,
        function: sys::CUfunction,
        launch: &Launch,
    ) -> Result<()> {
        let same = |node: &&Node| node.function == function;
        let Some(node) = self.nodes.get(index).filter(same) else {
            return Err(DriverError::Unknown {
                what: "launch of that kernel in the sequence",
                value: index as u64,
            });
        };
        let mut pointers = params(launch);
        let node_params = node_params(function, launch, &mut pointers);
        // SAFETY: the node is of the graph that `exec` was made from; the driver copies the parameters and their values
        // before it returns.
        check("cuGraphExecKernelNodeSetParams_v2", unsafe {
            sys::cuGraphExecKernelNodeSetParams_v2(self.exec, node.handle, &node_params)
        })
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
