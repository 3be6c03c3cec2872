//! What the nodes of a run wrote: recorded, written to a file, read back.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use qwarp::backend::observe::{After, NodeOutput, Observer};
use qwarp::checkpoint::mmap::FileMap;
use qwarp::{DType, Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// The outputs of one step, by node.
pub type Step = BTreeMap<usize, Vec<f32>>;

/// A run: its tokens, how they were cut into steps, and the outputs of each.
pub struct Tape {
    pub tokens: Vec<u32>,
    pub counts: Vec<usize>,
    pub dtype: DType,
    pub about: String,
    pub steps: Vec<Step>,
}

/// Records a step.
#[derive(Default)]
pub struct Recorder(pub Step);

impl Observer for Recorder {
    fn after(&mut self, output: NodeOutput<'_>) -> Result<After> {
        self.0.insert(output.node, output.values.to_vec());
        Ok(After::Keep)
    }
}

const TOKENS: &str = "token_ids";
const COUNTS: &str = "step_tokens";
const EXPECTED: &str = "a file that qwarp diff --dump wrote";

impl Tape {
    /// Writes a safetensors file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let words = |values: &mut dyn Iterator<Item = u64>| -> Vec<u8> {
            values.flat_map(u64::to_le_bytes).collect()
        };
        let tokens = words(&mut self.tokens.iter().map(|id| u64::from(*id)));
        let counts = words(&mut self.counts.iter().map(|count| *count as u64));
        let mut all = vec![
            (TOKENS.to_string(), Dtype::U64, self.tokens.len(), tokens),
            (COUNTS.to_string(), Dtype::U64, self.counts.len(), counts),
        ];
        for (index, step) in self.steps.iter().enumerate() {
            for (node, values) in step {
                let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                all.push((format!("{index}/{node}"), Dtype::F32, values.len(), bytes));
            }
        }
        let refused = |e: &dyn ToString| Error::malformed(path, "dump", e.to_string(), EXPECTED);
        let views = all.iter().map(|(name, dtype, len, bytes)| {
            let view = TensorView::new(*dtype, vec![*len], bytes);
            Ok((name.as_str(), view.map_err(|e| refused(&e))?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let metadata = HashMap::from([
            ("dtype".to_string(), self.dtype.name().to_string()),
            ("about".to_string(), self.about.clone()),
        ]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| refused(&e))?;
        std::fs::write(path, bytes).map_err(|e| Error::io(path, "write", e))
    }

    /// Reads one.
    pub fn read(path: &Path) -> Result<Self> {
        let map = FileMap::open(path)?;
        let wrong =
            |found: &dyn ToString| Error::malformed(path, "dump", found.to_string(), EXPECTED);
        let file = SafeTensors::deserialize(map.bytes()).map_err(|e| wrong(&e))?;
        let (_, header) = SafeTensors::read_metadata(map.bytes()).map_err(|e| wrong(&e))?;
        let about = header.metadata().clone().unwrap_or_default();
        let named = about.get("dtype").map_or("", String::as_str);
        let dtype = [DType::Bf16, DType::F16, DType::F32]
            .into_iter()
            .find(|dtype| dtype.name() == named)
            .ok_or_else(|| wrong(&format!("type '{named}'")))?;
        let words = |name: &str| -> Result<Vec<u64>> {
            let view = file.tensor(name).map_err(|e| wrong(&e))?;
            let words = view.data().as_chunks::<8>().0.iter();
            Ok(words.map(|word| u64::from_le_bytes(*word)).collect())
        };
        let tokens = words(TOKENS)?.into_iter().map(u32::try_from);
        let tokens: Vec<u32> = tokens
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| wrong(&e))?;
        let counts: Vec<usize> = words(COUNTS)?
            .into_iter()
            .map(|count| count as usize)
            .collect();
        let covered = counts
            .iter()
            .try_fold(0usize, |sum, count| sum.checked_add(*count));
        if tokens.is_empty() || covered != Some(tokens.len()) || counts.contains(&0) {
            return Err(wrong(&format!(
                "{} tokens in steps of {counts:?}",
                tokens.len()
            )));
        }
        let mut steps = vec![Step::new(); counts.len()];
        for (name, view) in file.iter() {
            let place = name.split_once('/');
            let Some((step, node)) =
                place.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)))
            else {
                continue;
            };
            let step: Option<&mut Step> = steps.get_mut::<usize>(step);
            let values = view.data().as_chunks::<4>().0.iter();
            let values = values.map(|four| f32::from_le_bytes(*four)).collect();
            step.ok_or_else(|| wrong(&name))?.insert(node, values);
        }
        Ok(Tape {
            tokens,
            counts,
            dtype,
            about: about.get("about").cloned().unwrap_or_default(),
            steps,
        })
    }
}
