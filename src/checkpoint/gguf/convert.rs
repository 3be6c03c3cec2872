//! From a GGUF file to a Hugging Face folder.

use std::path::PathBuf;

use serde_json::Value;

use crate::checkpoint::folder::Folder;
use crate::dtype::DType;
use crate::error::Result;
use crate::limits::LIMITS;

use super::architecture::Architecture;
use super::config::{config_json, generation_json};
use super::header::Header;
use super::layout::Layout;
use super::roles::{HEAD, Role, match_tensors};
use super::tokenizer::tokenizer_files;
use super::weights::{self, Progress};

/// Files of a tokenizer that stand beside or above the ones written here, and would contradict them.
const OBSOLETE_TOKENIZER: [&str; 5] = [
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
];
/// The same for a model. `config.json` goes first: from then on the folder is no model until the end.
const OBSOLETE_MODEL: [&str; 2] = ["config.json", "model.safetensors.index.json"];

/// What to convert, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The GGUF file.
    pub gguf: PathBuf,
    /// The folder to write.
    pub out: PathBuf,
    /// The type of every tensor written.
    pub dtype: DType,
    /// Write the tokenizer files alone; only the header of the GGUF has to be whole.
    pub tokenizer_only: bool,
    /// Replace the model files of a folder that is not empty; its other files stay.
    pub force: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    /// Tensors.
    pub tensors: usize,
    /// Bytes of tensor data.
    pub bytes: u64,
}

impl Conversion {
    /// Runs the conversion. Everything that can be refused from the header is, before anything is written.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<Converted> {
        let header = Header::read(&self.gguf, &LIMITS)?;
        let tokenizer = tokenizer_files(&header.file, &header.metadata)?;
        if self.tokenizer_only {
            let mut folder = Folder::open(&self.out, Some(self.force))?;
            folder.add_json("tokenizer_config.json", &tokenizer.tokenizer_config)?;
            folder.add_json("tokenizer.json", &tokenizer.tokenizer_json)?;
            folder.publish(&OBSOLETE_TOKENIZER)?;
            return Ok(Converted {
                tensors: 0,
                bytes: 0,
            });
        }
        let Contents {
            tensors,
            config,
            generation,
        } = contents(&header, self.dtype)?;
        let mut folder = Folder::open(&self.out, Some(self.force))?;
        let target = folder.add("model.safetensors");
        let bytes = weights::write(&self.gguf, &target, &tensors, self.dtype, progress)?;
        folder.add_json("tokenizer_config.json", &tokenizer.tokenizer_config)?;
        folder.add_json("tokenizer.json", &tokenizer.tokenizer_json)?;
        folder.add_json("generation_config.json", &generation)?;
        folder.add_json("config.json", &config)?;
        folder.publish(&[OBSOLETE_MODEL.as_slice(), OBSOLETE_TOKENIZER.as_slice()].concat())?;
        Ok(Converted {
            tensors: tensors.len(),
            bytes,
        })
    }
}

/// Makes all the checks that a conversion makes before it reads tensor data or writes anything.
pub fn check(header: &Header, dtype: DType) -> Result<()> {
    tokenizer_files(&header.file, &header.metadata)?;
    contents(header, dtype).map(drop)
}

/// What a converted model holds beside its tokenizer.
struct Contents {
    tensors: Vec<(Role, Layout)>,
    config: Value,
    generation: Value,
}

fn contents(header: &Header, dtype: DType) -> Result<Contents> {
    let model = Architecture::read(header)?;
    let tensors = match_tensors(header, &model)?;
    let tied = header.tensor(HEAD).is_none();
    Ok(Contents {
        tensors,
        config: config_json(&model, &header.metadata, tied, dtype)?,
        generation: generation_json(&model, &header.metadata)?,
    })
}
