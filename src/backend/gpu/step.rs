//! One step's launches: every stage at the step's rows, on the buffers that stand since the start.

use half::{bf16, f16};

use super::inputs::{Extent, Layout};
use super::kernels::Kernels;
use super::launch::{
    Embed, FlashAttention, Linear, LinearOut, LinearRopeAppend, LinearSiluMul, MatrixType, NormIn,
    NormLinearRopeAppend, NormLinearSiluMul, PagedAttention, RmsNorm, RopeOut, SiluMul,
};
use super::lower::{Norm, Stage, Work};
use super::weights::DeviceWeights;
use crate::DType;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{DevicePtr, DriverError, In, InOut, Launch, Out};
use crate::graph::{Plan, TensorId, WeightId};
use crate::shape::{Heads, Rows};

/// Where a step's inputs and the model's state stand on the device.
#[derive(Debug, Clone, Copy)]
pub struct Buffers {
    /// Activations, at the plan's offsets.
    pub arena: DevicePtr,
    /// `(layers, 2, blocks, kv heads, 16, dim)`: keys, then values of each layer.
    pub cache: DevicePtr,
    /// Partial results of attention.
    pub partial: DevicePtr,
    /// Elements that `partial` has room for.
    pub partial_len: usize,
    /// Counters of attention, zero between launches: for each sequence, the tiles of one token.
    pub arrived: DevicePtr,
    /// The step's inputs, where [`Layout`] says.
    pub inputs: DevicePtr,
    /// `(R)`: the tokens that the step before drew.
    pub drawn: DevicePtr,
}

/// A step to be made into launches.
pub struct Step<'a> {
    /// The kernels.
    pub kernels: &'a Kernels,
    /// The plan.
    pub plan: &'a Plan,
    /// Its weights.
    pub weights: &'a DeviceWeights,
    /// Its buffers.
    pub buffers: &'a Buffers,
    /// How much of everything there is.
    pub extent: Extent,
    /// Where its inputs stand.
    pub layout: Layout,
    /// KV blocks.
    pub num_blocks: usize,
}

type Result<T> = std::result::Result<T, DriverError>;

impl Step<'_> {
    /// The launches of a stage; none where it has no rows.
    pub fn launches<T: MatrixType>(&self, stage: &Stage) -> Result<Vec<Launch>> {
        let rows = self.rows(stage.output);
        if rows == 0 {
            return Ok(Vec::new());
        }
        let launch = match stage.work {
            Work::Embed { table } => self.embed(table, stage.output)?,
            Work::RmsNorm(norm) => self.rms_norm::<T>(norm, stage.output)?,
            Work::Linear {
                x,
                weight,
                bias,
                add,
            } => {
                let (n, k) = self.weights.shape(weight);
                Linear {
                    tokens: rows,
                    n,
                    k,
                    x: self.input::<T>(x),
                    weights: self.weights.packed(weight),
                    bias: bias.map(|bias| self.weights.vector(bias)),
                    out: match add {
                        true => LinearOut::Add(self.in_out(stage.output)),
                        false => LinearOut::Write(self.output(stage.output)),
                    },
                }
                .launch(self.kernels)?
            }
            Work::LinearSiluMul { norm, x, weight } => {
                return self.linear_silu_mul::<T>(norm, x, weight, stage.output);
            }
            Work::LinearRopeAppend {
                norm,
                x,
                weight,
                bias,
                layer,
                heads,
            } => {
                let rope = self.rope_out::<T>(bias, layer, heads, stage.output);
                return self.linear_rope_append(norm, x, weight, rope);
            }
            Work::Attention { q, layer, heads } => {
                self.attention::<T>(q, layer, heads, stage.output)?
            }
            Work::SiluMul { gate_up } => SiluMul {
                rows,
                n: self.cols(stage.output),
                gate_up: self.input(gate_up),
                out: self.output::<T>(stage.output),
            }
            .launch(self.kernels)?,
            Work::SelectRows { x } => Embed::<f32> {
                tokens: rows,
                vocab: self.rows(x),
                hidden: self.cols(x),
                token_ids: self.layout.logit_rows(self.buffers.inputs),
                drawn: In::new(self.buffers.drawn, 0),
                table: self.input(x),
                out: self.output(stage.output),
            }
            .launch(self.kernels)?,
        };
        Ok(vec![launch])
    }

    fn rows(&self, id: TensorId) -> usize {
        match self.plan.graph.tensors[id.0].rows {
            Rows::Tokens => self.extent.tokens,
            Rows::Logits => self.extent.logit_rows,
        }
    }

    fn cols(&self, id: TensorId) -> usize {
        self.plan.graph.tensors[id.0].cols
    }

    fn place(&self, id: TensorId) -> (DevicePtr, usize) {
        let at = self.buffers.arena.0 + self.plan.offsets[id.0] as u64;
        (DevicePtr(at), self.rows(id) * self.cols(id))
    }

    fn input<E: crate::driver::DeviceType>(&self, id: TensorId) -> In<E> {
        let (ptr, len) = self.place(id);
        In::new(ptr, len)
    }

    fn output<E: crate::driver::DeviceType>(&self, id: TensorId) -> Out<E> {
        let (ptr, len) = self.place(id);
        Out::new(ptr, len)
    }

    fn in_out<E: crate::driver::DeviceType>(&self, id: TensorId) -> InOut<E> {
        let (ptr, len) = self.place(id);
        InOut::new(ptr, len)
    }

    fn embed(&self, table: WeightId, out: TensorId) -> Result<Launch> {
        let (ptr, stored) = self.weights.rows(table);
        let (vocab, hidden) = self.weights.shape(table);
        let tokens = self.rows(out);
        let token_ids = self.layout.token_ids(self.buffers.inputs);
        let drawn = In::new(self.buffers.drawn, self.plan.max_rows.logits);
        let (len, out) = (vocab * hidden, self.output(out));
        macro_rules! gather {
            ($stored:ty) => {
                Embed::<$stored> {
                    tokens,
                    vocab,
                    hidden,
                    token_ids,
                    drawn,
                    table: In::new(ptr, len),
                    out,
                }
                .launch(self.kernels)
            };
        }
        match stored {
            DType::F32 => gather!(f32),
            DType::F16 => gather!(f16),
            DType::Bf16 => gather!(bf16),
        }
    }

    /// Elements of a layer's keys, and of its values.
    fn cache_len(&self, heads: Heads) -> usize {
        self.num_blocks * BLOCK_SIZE * heads.kv_dim()
    }

    /// A layer's keys and values.
    pub(super) fn cache<T: MatrixType>(&self, layer: usize, heads: Heads) -> [DevicePtr; 2] {
        let bytes = (self.cache_len(heads) * size_of::<T>()) as u64;
        let at = self.buffers.cache.0 + 2 * layer as u64 * bytes;
        [DevicePtr(at), DevicePtr(at + bytes)]
    }

    /// The element of a layer's keys, and of its values, at which a slot's row of a head starts.
    pub(super) fn cache_element(&self, heads: Heads, slot: usize, head: usize) -> usize {
        let (block, position) = (slot / BLOCK_SIZE, slot % BLOCK_SIZE);
        ((block * heads.kv + head) * BLOCK_SIZE + position) * heads.dim
    }

    fn rms_norm<T: MatrixType>(&self, norm: Norm, out: TensorId) -> Result<Launch> {
        let NormIn { x, weight, eps } = self.norm_in(norm);
        RmsNorm {
            rows: self.rows(out),
            n: self.cols(out),
            eps,
            x,
            weight,
            out: self.output::<T>(out),
        }
        .launch(self.kernels)
    }

    fn norm_in(&self, norm: Norm) -> NormIn {
        NormIn {
            x: self.input(norm.x),
            weight: self.weights.vector(norm.weight),
            eps: norm.eps,
        }
    }

    /// The norm, where one launch with the product behind it is better than two.
    fn norm_within(&self, norm: Option<Norm>, x: TensorId) -> Option<NormIn> {
        let norm = norm.map(|norm| self.norm_in(norm))?;
        NormIn::suits(self.kernels.target(), self.rows(x), self.cols(x)).then_some(norm)
    }

    /// The launch of the norm that makes `x`, if it belongs to the stage, and then `product`.
    fn after_norm<T: MatrixType>(
        &self,
        norm: Option<Norm>,
        x: TensorId,
        product: Launch,
    ) -> Result<Vec<Launch>> {
        let norm = norm.map(|norm| self.rms_norm::<T>(norm, x)).transpose()?;
        Ok(norm.into_iter().chain([product]).collect())
    }

    fn linear_silu_mul<T: MatrixType>(
        &self,
        norm: Option<Norm>,
        x: TensorId,
        weight: WeightId,
        out: TensorId,
    ) -> Result<Vec<Launch>> {
        let (tokens, n, k) = (self.rows(out), self.cols(out), self.cols(x));
        let weights = self.weights.packed(weight);
        let out = self.output::<T>(out);
        if let Some(norm) = self.norm_within(norm, x) {
            let one = NormLinearSiluMul {
                tokens,
                n,
                k,
                norm,
                weights,
                out,
            };
            return Ok(vec![one.launch(self.kernels)?]);
        }
        let product = LinearSiluMul {
            tokens,
            n,
            k,
            x: self.input(x),
            weights,
            out,
        };
        self.after_norm::<T>(norm, x, product.launch(self.kernels)?)
    }

    fn linear_rope_append<T: MatrixType>(
        &self,
        norm: Option<Norm>,
        x: TensorId,
        weight: WeightId,
        rope: RopeOut<T>,
    ) -> Result<Vec<Launch>> {
        let (tokens, k) = (self.rows(x), self.cols(x));
        let weights = self.weights.packed(weight);
        if let Some(norm) = self.norm_within(norm, x) {
            let one = NormLinearRopeAppend {
                tokens,
                k,
                norm,
                weights,
                rope,
            };
            return Ok(vec![one.launch(self.kernels)?]);
        }
        let product = LinearRopeAppend {
            tokens,
            k,
            x: self.input(x),
            weights,
            rope,
        };
        self.after_norm::<T>(norm, x, product.launch(self.kernels)?)
    }

    fn rope_out<T: MatrixType>(
        &self,
        bias: Option<WeightId>,
        layer: usize,
        heads: Heads,
        q: TensorId,
    ) -> RopeOut<T> {
        let [keys, values] = self.cache::<T>(layer, heads);
        let len = self.cache_len(heads);
        RopeOut {
            heads,
            blocks: self.num_blocks,
            bias: bias.map(|bias| self.weights.vector(bias)),
            cos_sin: self.layout.cos_sin(self.buffers.inputs),
            slot_mapping: self.layout.slot_mapping(self.buffers.inputs),
            q: self.output(q),
            keys: InOut::new(keys, len),
            values: InOut::new(values, len),
        }
    }

    fn attention<T: MatrixType>(
        &self,
        q: TensorId,
        layer: usize,
        heads: Heads,
        out: TensorId,
    ) -> Result<Launch> {
        let longest = self.extent.longest;
        let [keys, values] = self.cache::<T>(layer, heads);
        let len = self.cache_len(heads);
        let attention = FlashAttention::<T> {
            tokens: self.rows(q),
            heads,
            blocks: self.num_blocks,
            sequences: self.extent.sequences,
            longest: self.extent.longest,
            context: self.extent.context,
            q: self.input(q),
            keys: In::new(keys, len),
            values: In::new(values, len),
            block_tables: self.layout.block_tables(self.buffers.inputs),
            spans: self.layout.spans(self.buffers.inputs),
            out: self.output(out),
        };
        let chunks = PagedAttention::<T>::chunks(attention.context);
        let partial = attention.tokens * heads.query * chunks * (heads.dim + 2);
        if !PagedAttention::<T>::suits(heads, longest) || partial > self.buffers.partial_len {
            return attention.launch(self.kernels);
        }
        let tiles = PagedAttention::<T>::tiles(heads, longest);
        let paged = PagedAttention {
            attention,
            partial: InOut::new(self.buffers.partial, partial),
            arrived: InOut::new(self.buffers.arrived, self.extent.sequences * tiles),
        };
        paged.launch(self.kernels)
    }
}
