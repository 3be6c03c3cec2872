//! What the cards of the predictions can do, each figure with where it is from. None was measured with these kernels.

use qwarp::DType;
use qwarp::driver::{CARDS, Card, Target};

/// A card.
pub struct Limits {
    pub name: &'static str,
    /// The row of the table of cards that it shares its multiprocessors with.
    of: &'static str,
    pub target: Target,
    pub dtype: DType,
    /// What a copy reaches: bytes read and bytes written, together.
    pub copy_gb_s: f64,
    /// What the second-level cache gives all multiprocessors.
    pub l2_gb_s: f64,
    /// Products by `mma.sync` with sums in f32, dense.
    pub tensor_tflop_s: f64,
    pub clock_ghz: f64,
    /// From the end of a launch to the start of the next in a graph.
    pub launch_us: f64,
    /// From a load to its bytes, out of memory.
    pub latency_us: f64,
    /// Where the figures are from.
    pub sources: &'static str,
}

/// The cards.
pub const LIMITS: [Limits; 3] = [
    Limits {
        name: "T4",
        of: "T4",
        target: Target::Sm75,
        dtype: DType::F16,
        copy_gb_s: 250.0,
        l2_gb_s: 1270.0,
        tensor_tflop_s: 65.0,
        clock_ghz: 1.59,
        launch_us: 1.5,
        latency_us: 0.4,
        sources: "copy: 320 GB/s by the data sheet, of which Turing reaches 88 to 90 % in microbenchmarks (github \
                  sjfeng1999/gpu-arch-microbenchmark) and ECC takes 10 to 15 % (github IST-DASLab/marlin): 250, estimated. \
                  L2: 1.27 TB/s (Jia et al., Dissecting the NVidia Turing T4 GPU via Microbenchmarking, 2019; recalled). Tensor cores and \
                  clock: 65 TFLOP/s at 1.59 GHz by the data sheet; at 70 W a long prefill clocks lower, which is not modelled. \
                  Launch: 1.5 us, estimated: a plain launch on an RTX 3090 takes 1.54 (github Infatoshi/MegaQwen). Latency: 0.4 \
                  us, estimated",
    },
    Limits {
        name: "A10G",
        of: "A10G",
        target: Target::Sm80,
        dtype: DType::Bf16,
        copy_gb_s: 510.0,
        l2_gb_s: 2000.0,
        tensor_tflop_s: 70.0,
        clock_ghz: 1.71,
        launch_us: 0.83,
        latency_us: 0.4,
        sources: "copy: 600 GB/s by the data sheet, less ECC (10 to 15 %, github IST-DASLab/marlin): 510, estimated. L2: 2 TB/s, \
                  estimated. Tensor cores: 70 TFLOP/s: 512 multiply-adds a clock and multiprocessor with sums in f32, at 1.71 \
                  GHz. Launch: 0.83 us, a node of a graph on an RTX 3090 (github Infatoshi/MegaQwen). Latency: 0.4 us, \
                  estimated",
    },
    Limits {
        name: "H200",
        of: "H100",
        target: Target::Sm90,
        dtype: DType::Bf16,
        copy_gb_s: 4300.0,
        l2_gb_s: 5700.0,
        tensor_tflop_s: 620.0,
        clock_ghz: 1.83,
        launch_us: 1.3,
        latency_us: 0.6,
        sources: "copy: 4300 GB/s, measured by a copy kernel on an H200 (4800 by the data sheet). L2: 5.7 TB/s, for an H100 PCIe \
                  (chipsandcheese.com, 2023; recalled). Tensor cores: 989 TFLOP/s by the data sheet, of which `mma.sync` \
                  reaches 63 % (arXiv 2402.13499; recalled): 620; `wgmma` would reach it all. Clock: 1.83 GHz, which 989 TFLOP/s stand \
                  for. Launch: 1.3 us, a node of a graph on an H100 (hazyresearch.stanford.edu, No Bubbles, 2025); early \
                  starts of dependent launches are not modelled. Latency: 0.6 us, estimated",
    },
];

impl Limits {
    /// Multiprocessors and their sizes.
    pub fn card(&self) -> Option<&'static Card> {
        CARDS.iter().find(|card| card.name == self.of)
    }
}
